"""How far a learned preconditioner is from the best one: in norm, and in risk."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from .._arrays import Array
from ..prompts import PromptDistribution
from ._inputs import as_preconditioner
from ._one_layer import prompt_moments

_FLAT = 0.01  # of the largest curvature: below it a direction counts as flat


class Distance(NamedTuple):
    r"""Γ against the optimum Γ*, by two measures that can differ by far.

    `norm` is $|\Gamma - \Gamma^*|_F / |\Gamma^*|_F$. `prediction` is the same in the
    metric of the risk, $|\Lambda_q^{1/2} (\Gamma - \Gamma^*) B^{1/2}|_F$ over that of
    Γ*: the RMS distance of predictions over their RMS size. The risk has curvatures
    $2 \lambda_i \mu_j$, and `curvature_ratio` is the largest over the smallest that is
    not 0; `flat_share` is the part of $|\Gamma - \Gamma^*|_F^2$ along directions with
    less than 1 % of the largest, which hardly change a prediction.
    """

    norm: float
    prediction: float
    curvature_ratio: float
    flat_share: float


def preconditioner_distance(
    gamma: Float[Array, "d d"] | Any, prompts: PromptDistribution
) -> Distance:
    """The `Distance` of Γ (1/n convention) from the exact optimum on `prompts`.

    NumPy only. Raises `AssumptionError` where the tasks have no exact moments and
    `SettingError` for Γ of a wrong shape. Derived in docs/theory/one-layer.md.
    """
    m = prompt_moments(prompts)
    best = m.optimum()
    gap = as_preconditioner(gamma, prompts.dim) - best
    values, vectors = zip(*map(np.linalg.eigh, (m.query, m.gradient)), strict=True)
    curvatures = np.clip(np.outer(*values), 0.0, None)
    turned = vectors[0].T @ gap @ vectors[1]
    flat = curvatures < _FLAT * curvatures.max()
    used = curvatures[curvatures > 1e-15 * curvatures.max()]
    return Distance(
        _ratio(np.linalg.norm(gap), np.linalg.norm(best)),
        _ratio(m.distance(best + gap), m.distance(0 * best)),
        _ratio(curvatures.max(), used.min(initial=np.inf)),
        _ratio(np.sum(turned[flat] ** 2), np.sum(turned**2)),
    )


def _ratio(part: Any, whole: Any) -> float:
    """`part` over `whole`; 0 where both are, so that no distance is none."""
    return float(part / whole) if whole > 0 else 0.0 if part == 0 else np.inf
