"""Gradient flows with a closed form, all for small or stated starts."""

from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array, as_array, namespace
from .._errors import AssumptionError
from ..prompts import PromptDistribution
from ._flow_problem import SeparableRisk, objective_moments, separable_risk
from ._one_layer import PromptMoments


def logistic_gain(
    times: Float[Array, " m"] | Any,
    prompts: PromptDistribution | PromptMoments,
    init: float = 1e-4,
    objective: str = "mean",
) -> Float[Array, " m"]:
    r"""Merged key-query, isotropic law: Γ(t) = σ(t) I exactly, with

    $$\sigma(t) = \frac{c\, e^{2\sqrt d c t}}
    {b (e^{2 \sqrt d c t} - 1) + \sqrt d c / w_0^2}$$

    from v = w₀ = `init`, A = w₀ I/√d, where C = c I and Λ_q ⊗ B = b I. For Λ = W = I,
    σ = 0: c = 1, b = 1 + (1 + d)/n (Zhang, Singh, Latham & Saxe 2025).

    Raises `AssumptionError` unless the law is isotropic.
    """
    problem = separable_risk(objective_moments(prompts, objective))
    drives, decays, dim = _flat(problem, "the logistic time course")
    if len(drives) < dim:
        raise AssumptionError(
            "the logistic time course",
            f"every direction covered (found {len(drives)} of {dim})",
            "integrate it: iclax.theory.flow",
        )
    c, b, t = drives[0], decays[0], as_array(times)
    rate = 2 * dim**0.5 * c
    # Both sides times exp(−rate t), so that nothing overflows.
    small = np.exp(-rate * t)
    return c / (b * (1 - small) + dim**0.5 * c / init**2 * small)


def flat_half_drop_time(
    prompts: PromptDistribution | PromptMoments,
    init: float = 1e-4,
    objective: str = "mean",
) -> float:
    r"""Merged key-query where the p covered directions are alike: up to O(w₀),

    $$t_{1/2} = \frac{1}{2 \sqrt p c}
    \ln \frac{(\sqrt 2 - 1) \sqrt p\, c}{b\, e^2}, \qquad
    e = \frac{w_0}{2} \Big(1 + \sqrt{p/d}\Big)$$

    the time of half the drop from v = w₀ = `init`, A = w₀ I/√d; c and b are the drive
    and decay of the covered directions. With ‖C‖_F = √p c this is the escape law
    (1/‖C‖_F) ln(1/w₀) with its constant. Derived in docs/theory/flow.md.

    Raises `AssumptionError` unless the covered directions share c and b.
    """
    problem = separable_risk(objective_moments(prompts, objective))
    drives, decays, dim = _flat(problem, "the closed half-drop time")
    count, c, b = len(drives), drives[0], decays[0]
    seed = init / 2 * (1 + (count / dim) ** 0.5)
    share = (2**0.5 - 1) * count**0.5 * c / (b * seed**2)
    return float(np.log(share) / (2 * count**0.5 * c))


def head_time(
    value: Float[Array, " m"] | float,
    start: float,
    drive: Float[Array, ""] | float,
    decay: Float[Array, ""] | float,
) -> Float[Array, " m"]:
    r"""When an aligned rank-one head reaches v = `value` from v = `start`.

    $\dot v = c v^2 - b v^5$ (k = q = v u on one direction u with c = `drive`,
    b = `decay`), solved by $t = F(v) - F(v_0)$ with $z = (b/c)^{1/3} v$ and

    $$c F = -\frac1v + \Big(\frac bc\Big)^{1/3} \Big[ \tfrac16 \ln
    \frac{1 + z + z^2}{(1 - z)^2} - \tfrac{1}{\sqrt 3} \arctan \frac{2z+1}{\sqrt 3}
    \Big].$$

    `value` and `start` on one side of the limit $(c/b)^{1/3}$. Zhang et al. 2025 give
    the equation; the integral is derived in docs/theory/flow.md.
    """
    value = as_array(value)
    return _head_clock(value, drive, decay) - _head_clock(as_array(start), drive, decay)


def linear_rates(
    prompts: PromptDistribution | PromptMoments, objective: str = "mean"
) -> Float[Array, "d d"]:
    r"""Linear in Γ: the decay rates $\lambda_i(\Lambda_q)\, \beta_j(B)$ of Γ − Γ*.

    For Λ = I a direction of W with eigenvalue μ has $(1 + \frac1n) \mu +
    \frac1n (tr W + \sigma^2)$. Rows and columns in ascending order of the eigenvalues.
    """
    moments = objective_moments(prompts, objective)
    xp = namespace(moments.query, moments.gradient)
    values = xp.linalg.eigvalsh
    return xp.outer(values(moments.query), values(moments.gradient))


def _head_clock(v: Array, drive: Any, decay: Any) -> Array:
    xp = namespace(v)
    root = (decay / drive) ** (1 / 3)
    z = root * v
    logs = xp.log((1 + z + z**2) / (1 - z) ** 2) / 6
    arc = xp.arctan((2 * z + 1) / 3**0.5) / 3**0.5
    return (root * (logs - arc) - 1 / v) / drive


def _flat(problem: SeparableRisk, what: str) -> tuple[Array, Array, int]:
    drives, decays = np.diag(problem.drive), np.diag(problem.decay)
    covered = problem.covered
    for values, name in ((drives[covered], "drives"), (decays[covered], "decays")):
        flat = problem.is_diagonal and len(values) > 0
        if not flat or np.ptp(values) > 1e-9 * np.max(values):
            raise AssumptionError(
                what,
                f"covered directions with equal {name}",
                "integrate it: iclax.theory.flow",
            )
    return drives[covered], decays[covered], len(drives)
