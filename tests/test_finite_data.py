"""Finite pre-training data: published curves, replicas, brute-force pre-training."""

import jax
import jax.numpy as jnp
import numpy as np
import pretraining_runs
import pytest
from takanami import replica_errors

from iclax._errors import AssumptionError, SettingError
from iclax.covariates import Gaussian
from iclax.prompts import PromptDistribution
from iclax.tasks import Linear
from iclax.theory import (
    PretrainingLoads,
    isotropic_pretrained_risk,
    isotropic_seen_task_risk,
    preconditioner_risk,
    pretrained_risk,
    rectangular_risk,
    seen_task_risk,
)

TAUS = (0.2, 0.5, 0.85, 1.15, 1.5, 2.0)
# Means of 10 runs at d = 100, κ = 0.5, ρ = 0.01, errors with label noise, by α.
RECORDED_NEW = {
    1: (1.047, 1.305, 3.274, 4.167, 1.770, 1.279),
    10: (0.867, 0.832, 2.200, 3.107, 1.300, 0.944),
    100: (0.819, 0.707, 3.960, 6.404, 2.198, 1.351),
}
RECORDED_SEEN = {
    1: (0.806, 0.829, 2.164, 2.629, 0.958, 0.625),
    10: (0.553, 0.252, 0.419, 0.468, 0.173, 0.115),
}
LOADS = {
    "few prompts": PretrainingLoads(2.0, 0.7, 0.4, 0.3),
    "many prompts": PretrainingLoads(1.0, 1.8, 1.7, 0.1),
    "few tasks": PretrainingLoads(0.5, 0.2, 0.8, 0.5),
    "ridge": PretrainingLoads(3.0, 0.6, 1.0, 0.2, 0.3),
}


def power_law(dim):
    values = (np.arange(dim) + 0.5) ** -0.7
    return np.diag(values / values.mean())


@pytest.mark.parametrize("kind", ["new", "seen"])
@pytest.mark.parametrize("alpha", [1, 10, 100])
@pytest.mark.parametrize("index", range(6))
def test_recorded_means_at_dimension_100(alpha, index, kind):
    recorded = (RECORDED_NEW if kind == "new" else RECORDED_SEEN).get(alpha)
    if recorded is None:
        return
    tau = TAUS[index]
    risk = isotropic_pretrained_risk if kind == "new" else isotropic_seen_task_risk
    found = risk(PretrainingLoads(alpha, 0.5, tau, 0.01)) + 0.01
    tolerance = 0.15 if abs(tau - 1) < 0.2 else 8 / 100
    assert found == pytest.approx(recorded[index], rel=tolerance)


@pytest.mark.parametrize("tau", [0.05, 0.5, 0.95, 1.05, 3.0])
@pytest.mark.parametrize("kappa", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("alpha", [0.2, 5.0])
def test_general_formula_is_the_closed_one_for_isotropic_tasks(alpha, kappa, tau):
    loads = PretrainingLoads(alpha, kappa, tau, 0.2)
    new, seen = pretrained_risk(loads, np.eye(3)), seen_task_risk(loads, np.eye(3))
    assert new == pytest.approx(isotropic_pretrained_risk(loads), rel=1e-9)
    assert seen == pytest.approx(isotropic_seen_task_risk(loads), rel=1e-9)


@pytest.mark.parametrize(
    "case",
    [
        # α, κ, τ, rank/d, σ, λ, test α
        (2.0, 0.5, 1.5, 0.4, 0.1, 0.1, 2.0),
        (2.0, 0.5, 0.6, 0.4, 0.1, 0.1, 5.0),
        (1.0, 1.5, 0.6, 0.25, 0.5, 1e-3, 1.0),
        (4.0, 0.3, 2.5, 0.6, 0.3, 0.5, 0.5),
    ],
)
def test_low_rank_pretraining_with_ridge_equals_the_replica_fixed_point(case):
    alpha, kappa, tau, rank, noise, ridge, test_context = case
    dim, columns = 20, round(20 * rank)
    train = np.diag([1 / rank] * columns + [0.0] * (dim - columns))
    # They add λK to the Gram matrix, we (number/d) λ: λ κ / τ.
    loads = PretrainingLoads(alpha, kappa, tau, noise**2, ridge * kappa / tau)
    options = {"test_context": test_context, "test_noise_variance": 0.0}
    found = (
        pretrained_risk(loads, train, **options),
        pretrained_risk(loads, train, np.eye(dim), **options),
        seen_task_risk(loads, train, **options),
    )
    np.testing.assert_allclose(found, replica_errors(*case), rtol=1e-6)


def extrapolated_excess(dims, runs, loads, root, test, degree, seed):
    """Simulated minus exact risk at 1/d → 0 and its error, for (new, seen) tasks."""
    excess, errors = [], []
    for dim, count in zip(dims, runs, strict=True):
        mean, error = pretraining_runs.errors(
            dim, loads, count, train_root=root(dim), test_cov=test(dim), seed=seed
        )
        train = root(dim) @ root(dim).T
        exact = pretrained_risk(loads, train, test(dim)), seen_task_risk(loads, train)
        excess.append(mean - np.array(exact))
        errors.append(error)
    excess, errors = np.array(excess), np.array(errors)
    return [
        pretraining_runs.extrapolated(dims, excess[:, i], errors[:, i], degree)
        for i in (0, 1)
    ], exact


def half_of_it(dim):
    return np.diag([2**0.5] * (dim // 2) + [0.0] * (dim // 2))


def other_half(dim):
    return np.diag([0.0] * (dim // 4) + [2.0] * (dim // 2) + [0.0] * (dim // 4))


@pytest.mark.parametrize(("tau", "ridge"), [(0.3, 0.0), (0.6, 0.0), (0.6, 0.2)])
def test_brute_force_pretraining_extrapolates_to_the_formula(tau, ridge):
    loads = PretrainingLoads(2.0, 1.0, tau, 0.1, ridge)
    found, exact = extrapolated_excess(
        (8, 16, 32), (150, 60, 20), loads, half_of_it, other_half, degree=1, seed=5
    )
    for (excess, error), risk in zip(found, exact, strict=True):
        assert abs(excess) < 3 * error and error < 0.12 * risk


@pytest.mark.slow
@pytest.mark.parametrize("tau", [0.3, 0.6, 1.5])
@pytest.mark.parametrize("law", ["isotropic", "power to flat", "half to other half"])
def test_brute_force_pretraining_extrapolates_from_dimension_80(tau, law):
    root, test = {
        "isotropic": (np.eye, np.eye),
        "power to flat": (lambda d: np.sqrt(power_law(d)), np.eye),
        "half to other half": (half_of_it, other_half),
    }[law]
    loads = PretrainingLoads(1.0, 0.7, tau, 0.1)
    found, _ = extrapolated_excess(
        (20, 40, 80), (150, 60, 15), loads, root, test, degree=2, seed=3
    )
    for excess, error in found:
        assert abs(excess) < 3 * error


@pytest.mark.parametrize("name", LOADS)
def test_more_of_everything_approaches_full_knowledge(name):
    loads, cov = LOADS[name], power_law(6)
    rich = PretrainingLoads(loads.context, np.inf, 1e9, loads.noise_variance)
    noise = np.trace(cov) / 6 + loads.noise_variance
    # Infinitely many prompts and tasks: the best Γ, C(C + (ρ_tr/α) I)⁻¹.
    values = np.diag(cov)
    best = np.mean(values * (noise / loads.context) / (values + noise / loads.context))
    assert pretrained_risk(rich, cov) == pytest.approx(best, rel=1e-6)
    assert pretrained_risk(loads, cov) > best
    many = PretrainingLoads(loads.context, 1e8, loads.prompts, 0.1, loads.ridge)
    endless = PretrainingLoads(loads.context, np.inf, loads.prompts, 0.1, loads.ridge)
    assert pretrained_risk(many, cov) == pytest.approx(
        pretrained_risk(endless, cov), rel=1e-6
    )


def test_infinite_ridge_predicts_zero():
    loads = PretrainingLoads(1.0, 0.5, 2.0, 0.1, 1e9)
    assert pretrained_risk(loads, np.eye(2)) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("name", ["few tasks", "many prompts"])
def test_gradient_in_the_training_covariance(name):
    loads, spread = LOADS[name], np.array([0.3, 1.0, 1.0, 2.0])
    risk = lambda c: pretrained_risk(loads, jnp.diag(c), jnp.eye(4))
    slope = jax.jit(jax.grad(risk))(jnp.asarray(spread))
    numeric = []
    for unit in np.eye(4):
        up, down = (
            pretrained_risk(loads, np.diag(spread + e * unit), np.eye(4))
            for e in (1e-5, -1e-5)
        )
        numeric.append((up - down) / 2e-5)
    np.testing.assert_allclose(slope, numeric, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_rectangular_risk_without_label_energy_is_the_preconditioner_risk(n):
    dim, cov = 4, np.diag([0.5, 1.0, 1.5, 3.0])
    gamma = np.random.default_rng(n).standard_normal((dim, dim))
    prompts = PromptDistribution(
        Gaussian(np.full(dim, 1 / dim)), Linear(cov), n, 0.3**0.5
    )
    found = rectangular_risk(np.pad(gamma, ((0, 0), (0, 1))), n, 0.3, cov=cov)
    assert found == pytest.approx(preconditioner_risk(dim * gamma, prompts), rel=1e-12)


@pytest.mark.parametrize("kind", ["pool", "cov"])
@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_rectangular_risk_is_the_mean_of_simulated_prompts(n, kind):
    rng, dim, num = np.random.default_rng(10 + n), 3, 200_000
    gamma = 0.4 * rng.standard_normal((dim, dim + 1))
    pool = rng.standard_normal((4, dim)) + 0.5
    root = np.array([[1.0, 0, 0], [0.5, 1, 0], [0, 0, 2]])
    if kind == "pool":
        w, test = pool[rng.integers(4, size=num)], {"pool": pool}
    else:
        w, test = rng.standard_normal((num, dim)) @ root.T, {"cov": root @ root.T}
    x = rng.standard_normal((num, n + 1, dim)) / dim**0.5
    values = np.einsum("mnd,md->mn", x, w)
    y = values[:, :n] + 0.2**0.5 * rng.standard_normal((num, n))
    b = np.einsum("mn,mnd->md", y, x[:, :n]) * dim / n
    h = np.concatenate([b, np.mean(y**2, 1, keepdims=True)], 1)
    errors = (np.einsum("md,de,me->m", x[:, n], gamma, h) - values[:, n]) ** 2
    found = rectangular_risk(gamma, n, 0.2, **test)
    assert abs(found - errors.mean()) < 3 * errors.std() / num**0.5


def test_wrong_loads_are_refused():
    with pytest.raises(SettingError, match="prompts"):
        PretrainingLoads(1.0, 1.0, 0.0)
    with pytest.raises(SettingError, match="ridge"):
        PretrainingLoads(1.0, 1.0, 1.0, 0.0, -1.0)
    with pytest.raises(SettingError):
        rectangular_risk(np.zeros((2, 3)), 5, 0.1)
    with pytest.raises(SettingError, match="gamma"):
        rectangular_risk(np.zeros((2, 2)), 5, 0.1, cov=np.eye(2))
    for loads in (PretrainingLoads(1, np.inf, 2), PretrainingLoads(1, 1, 2, 0, 0.1)):
        with pytest.raises(AssumptionError):
            isotropic_pretrained_risk(loads)
    threshold = PretrainingLoads(1, 1, 1)
    assert isotropic_pretrained_risk(threshold) == np.inf
    assert pretrained_risk(threshold, np.eye(2)) == np.inf
    assert seen_task_risk(threshold, np.eye(2)) == np.inf
