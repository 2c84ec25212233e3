"""Certificates of the theorems on one layer, and counterexamples to false claims."""

import helpers
import jax
import jax.random as jr
import numpy as np
import pytest

from iclax import theory
from iclax._errors import SettingError
from iclax.covariates import Gaussian, Rademacher
from iclax.prompts import PromptDistribution
from iclax.tasks import Linear, ReluNeuron
from iclax.theory import _certificate

D, N, SIGMA = 3, 7, 0.4
COV = helpers.spd(D, 41)


def law(covariates, tasks, noise=SIGMA):
    return PromptDistribution(covariates, tasks, N, noise)


def ahn_preconditioner():
    """U diag(1 / ((n + 1)/n λ_i + (1/n) Σ λ)) Uᵀ, as printed in Ahn et al. (2023)."""
    values, vectors = np.linalg.eigh(COV)
    return vectors / ((N + 1) / N * values + values.sum() / N) @ vectors.T


ETA = 1 / (N + D + 1 + SIGMA**2)  # Mahankali et al. (2023), without 1/n
RELU_ETA = (1 / 4) / ((D + 2) / 2 + SIGMA**2 + (N - 1) / 4)  # u / (v + (n − 1) u)
THEOREMS = {
    "mahankali_1": (law(Gaussian(np.eye(D)), Linear(np.eye(D))), N * ETA * np.eye(D)),
    "mahankali_2": (
        law(Gaussian(COV), Linear(np.linalg.inv(COV))),
        N * ETA * np.linalg.inv(COV),
    ),
    "mahankali_3": (
        law(Gaussian(np.eye(D)), ReluNeuron(np.eye(D), random_sign=True)),
        N * RELU_ETA * np.eye(D),
    ),
    "plain_relu": (
        law(Gaussian(np.eye(D)), ReluNeuron(np.eye(D))),
        N * RELU_ETA * np.eye(D),
    ),
    "ahn_1": (law(Gaussian(COV), Linear(np.eye(D)), 0.0), ahn_preconditioner()),
    "rademacher": (
        law(Rademacher(np.eye(D)), Linear(np.eye(D))),
        N / (N + D - 1 + SIGMA**2) * np.eye(D),
    ),
}


@pytest.mark.parametrize("include_query", [False, True])
@pytest.mark.parametrize("theorem", THEOREMS)
def test_theorems_are_certified(theorem, include_query):
    prompts, gamma = THEOREMS[theorem]
    found = theory.certify(gamma, prompts, include_query=include_query, starts=1)
    assert found.holds and found.proven and not found.lower_risk_found
    assert found.gradient_norm < 1e-13
    assert found.heads_gradient_norm < 1e-13
    assert abs(found.smallest_hessian_eigenvalue) < 1e-11
    assert found.margin > -1e-12


def test_zhang_frei_bartlett_limit_is_certified_with_the_query_in_the_sum():
    prompts = law(Gaussian(COV), Linear(np.eye(D)), 0.0)
    gamma = np.linalg.inv((1 + 1 / N) * COV + np.trace(COV) / N * np.eye(D))
    balance = np.sum(gamma**2) ** 0.25
    a, q = theory.gd_attention(gamma)
    claim = a[0] * balance, q[0] / balance
    found = theory.certify(claim, prompts, include_query=True, starts=1)
    assert found.proven and found.gradient_norm < 1e-13


def starts_end_at_the_gd_form(theorem, include_query, starts):
    prompts, gamma = THEOREMS[theorem]
    best = theory.optimal_attention(
        prompts, include_query=include_query, starts=starts, seed=1
    )
    assert np.min(best.risks) > best.risks[0] - 1e-12
    assert np.sum(best.risks[1:] < best.risks[0] + 1e-9) > 0
    np.testing.assert_allclose(best.gamma, gamma, atol=1e-9)


@pytest.mark.parametrize("theorem", ["mahankali_1", "mahankali_2"])
def test_starts_end_at_the_gd_form_at_best(theorem):
    starts_end_at_the_gd_form(theorem, False, 5)


@pytest.mark.slow
@pytest.mark.parametrize("include_query", [False, True])
@pytest.mark.parametrize("theorem", THEOREMS)
def test_a_hundred_starts_end_at_the_gd_form_at_best(theorem, include_query):
    starts_end_at_the_gd_form(theorem, include_query, 100)


def test_tasks_with_a_mean_refute_the_gd_form():
    prompts = law(Gaussian(np.eye(D)), Linear(np.eye(D) / 2, np.eye(D)[0]))
    found = theory.certify(theory.optimal_preconditioner(prompts), prompts, starts=1)
    assert not found.holds and not found.proven and found.lower_risk_found
    assert found.smallest_hessian_eigenvalue < -1e-3
    assert theory.attention_risk(*found.counterexample, prompts) == pytest.approx(
        found.best_risk, rel=1e-12
    )

    def terms(prompt):
        better = helpers.attention(*found.counterexample, prompt)
        return (better - prompt.target) ** 2

    mean, error = helpers.simulate(terms, prompts, jr.key(1), 100_000)
    assert abs(mean - found.best_risk) < 3 * error
    assert mean + 3 * error < found.risk


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_a_wrong_step_size_is_refuted(factor):
    prompts, gamma = THEOREMS["mahankali_1"]
    found = theory.certify(factor * gamma, prompts, starts=1)
    assert not found.stationary and found.lower_risk_found and not found.proven
    assert found.margin == pytest.approx(
        theory.optimal_risk(prompts) - found.risk, rel=1e-6
    )


def test_the_best_head_is_certified_though_more_heads_do_better():
    prompts = law(Gaussian(np.eye(2)), Linear(np.eye(2) / 2, np.eye(2)[0]))
    best = theory.optimal_attention(prompts, starts=1)
    claim = best.readout, best.key_query
    found = theory.certify(claim, prompts, starts=2, tolerance=1e-7)
    assert found.holds and not found.proven
    assert theory.multi_head_optimum(prompts).risk < found.risk


def test_smallest_eigenvalue_equals_autodiff_and_lanczos(monkeypatch):
    prompts = law(Gaussian(COV), Linear(np.eye(D), np.ones(D)))
    rng = np.random.default_rng(0)
    a, q = rng.standard_normal(D + 1), rng.standard_normal((D + 1, D))

    def risk(flat):
        return theory.attention_risk(
            flat[: D + 1], flat[D + 1 :].reshape(D + 1, D), prompts
        )

    hessian = jax.jit(jax.hessian(risk), compiler_options=helpers.QUICK)
    values = np.linalg.eigvalsh(hessian(np.concatenate([a, q.ravel()])))
    whole = theory.certify((a, q), prompts, starts=1)
    monkeypatch.setattr(_certificate, "_DENSE", 0)
    lanczos = theory.certify((a, q), prompts, starts=1)
    for found in (whole, lanczos):
        assert found.smallest_hessian_eigenvalue == pytest.approx(values[0], rel=1e-9)


def test_claims_of_several_heads_are_refused():
    prompts, _ = THEOREMS["mahankali_1"]
    with pytest.raises(SettingError, match="one head"):
        theory.certify((np.ones((2, D + 1)), np.ones((2, D + 1, D))), prompts)
