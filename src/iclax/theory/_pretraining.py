"""Finite pre-training data: the loads of the proportional limit, Lu et al.'s curve.

Scaling of this family of results: x ~ N(0, I/d), task vectors with E|w|² = tr C (d
where isotropic), labels y = w·x + noise, prediction ŷ = x_qᵀ Γ (d/n) Σ y_i x_i.
"""

from dataclasses import dataclass

import numpy as np

from .._errors import AssumptionError, SettingError


@dataclass(frozen=True)
class PretrainingLoads:
    """How much data there was, relative to the dimension d.

    `context` α = n/d, `tasks` κ = K/d different task vectors (infinity allowed),
    `prompts` τ = (number of prompts)/d², `noise_variance` ρ of the labels, and `ridge`
    λ in (Σ H Hᵀ + (number/d) λ I)⁻¹ Σ y H, H = x_q ⊗ (d/n) Σ y_i x_i.
    """

    context: float | int
    tasks: float | int
    prompts: float | int
    noise_variance: float | int = 0.0
    ridge: float | int = 0.0

    def __post_init__(self):
        for name in ("context", "tasks", "prompts"):
            if not getattr(self, name) > 0:
                raise SettingError(name, f"{getattr(self, name)}", "a positive number")
        for name in ("noise_variance", "ridge"):
            if not getattr(self, name) >= 0:
                raise SettingError(name, f"{getattr(self, name)}", "a number ≥ 0")


def isotropic_pretrained_risk(loads: PretrainingLoads) -> float:
    r"""Risk on new tasks after ridgeless pre-training on isotropic ones, d → ∞.

    Lu, Letey, Zavatone-Veth, Maiti & Pehlevan (2024), in closed form: K tasks, then
    prompts of new tasks w ~ N(0, I). Against the noiseless target; their error is this
    plus ρ = `noise_variance`. At τ = 1 it diverges.

    Raises `AssumptionError` for `ridge` > 0 or infinitely many tasks
    (`pretrained_risk` covers both).
    """
    if loads.ridge > 0 or np.isinf(loads.tasks):
        raise AssumptionError(
            "the closed curve of isotropic pre-training",
            "ridge = 0 and finitely many tasks",
            "use pretrained_risk",
        )
    tau, kappa, rho = loads.prompts, loads.tasks, loads.noise_variance
    if tau == 1:
        return np.inf
    q = (1 + rho) / loads.context
    above = _above_threshold if tau > 1 else _below_threshold
    return above(tau, kappa, rho, q) - rho


def isotropic_seen_task_risk(loads: PretrainingLoads) -> float:
    r"""The same on prompts of the tasks seen in pre-training (memorization included).

    Raises as `isotropic_pretrained_risk` does. Against the noiseless target.
    """
    isotropic_pretrained_risk(loads)  # the same assumptions
    tau, kappa, rho = loads.prompts, loads.tasks, loads.noise_variance
    if tau == 1:
        return np.inf
    q = (1 + rho) / loads.context
    ridge = 0.0 if tau > 1 else (1 - tau) / tau / _resolvent(q, kappa / tau)
    nu = q + ridge
    m, slope = _resolvent(nu, kappa), _resolvent_slope(nu, kappa)
    error = rho + nu - nu**2 * m - ridge * (1 - 2 * nu * m - nu**2 * slope)
    return tau * error / (tau - (1 - 2 * ridge * m - ridge**2 * slope)) - rho


def _below_threshold(tau: float, kappa: float, rho: float, q: float) -> float:
    mu = q * _resolvent(q, kappa / tau)
    bias = 1 - tau * (1 - mu) ** 2 - (q - rho) / q * mu
    return tau * (1 + q) / (1 - tau) * bias - 2 * tau * (1 - mu) + 1 + rho


def _above_threshold(tau: float, kappa: float, rho: float, q: float) -> float:
    m = _resolvent(q, kappa)
    k = 1 / (1 - kappa * (m / (kappa + m)) ** 2)
    return (
        (k - 1 / (tau - 1)) * (1 + q) * (q * m) ** 2
        + (3 - 2 * tau) / (tau - 1) * m * q**2
        + ((1 + rho) * m / (tau - 1) + 1) * q
        + rho * m / (tau - 1)
        + rho
    )


def _resolvent(x: float, kappa: float) -> float:
    """M_κ(x) = lim (1/d) tr(Ĉ + x I)⁻¹ of κd Gaussian vectors (Marchenko–Pastur)."""
    a = x + 1 - 1 / kappa
    return 2 / (a + np.sqrt(a**2 + 4 * x / kappa))


def _resolvent_slope(x: float, kappa: float) -> float:
    a, root = x + 1 - 1 / kappa, np.sqrt((x + 1 - 1 / kappa) ** 2 + 4 * x / kappa)
    return -2 / (a + root) ** 2 * (1 + (a + 2 / kappa) / root)
