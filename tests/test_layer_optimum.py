"""Does the full layer leave the GD form? What is said against the exact optima."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import COVARIATES, FAMILIES, mostly_in_ci

from iclax import covariates as laws, tasks as families, theory
from iclax._errors import AssumptionError
from iclax.evaluation import simulate_risks
from iclax.models import LinearAttention
from iclax.predictors import GradientStep
from iclax.prompts import PromptDistribution

DIM = 2
LAWS = {name: COVARIATES[name] for name in ("data",)} | {
    "cube": lambda d: laws.Rademacher(np.eye(d)),
    "isotropic": lambda d: laws.Gaussian(np.eye(d)),
}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("law", mostly_in_ci(LAWS, keep=["isotropic"]))
def test_the_verdict_on_the_gd_form_is_that_of_the_exact_optima(name, law):
    """Over all families and covariates: never "beats" where nothing does."""
    tasks = FAMILIES[name][0](DIM)
    prompts = PromptDistribution(LAWS[law](DIM), tasks, 4, 0.3)
    try:
        gd = theory.optimal_risk(prompts)
    except AssumptionError:
        with pytest.raises(AssumptionError):
            theory.layer_optimum(prompts)
        return
    found = theory.layer_optimum(prompts, starts=2)
    assert found.gd_risk == pytest.approx(gd) and found.risk <= gd
    try:
        heads = theory.multi_head_optimum(prompts).risk
    except AssumptionError:
        assert found.is_gd_form is None or theory.gd_form_reason(prompts)
        return
    power = theory.zero_risk(prompts)
    same = heads >= gd - 1e-8 * power
    if found.proven:
        assert found.is_gd_form == same or (not same and found.is_gd_form is False)
    if same:
        assert found.is_gd_form is True
    if found.is_gd_form is False:
        assert heads <= found.risk + 1e-7 * power and found.risk < gd
        risk = theory.attention_risk(*found.weights, prompts)
        assert risk == pytest.approx(found.risk, abs=1e-7 * power)


# Settings whose verdict was "the mean of f is not 0; fails: beats every GD form".
SAME = {
    "sparse": (laws.Gaussian(np.eye(4)), families.SparseLinear(4, 2), 20),
    "fourier": (
        laws.Gaussian(np.eye(3)),
        families.FourierFeatures.random(3, 4, 1.0),
        10,
    ),
    "mirrored pool": (
        laws.Gaussian(np.eye(2)),
        families.LinearPool([[1.0, 2.0], [-1.0, -2.0]]),
        5,
    ),
    "projected": (
        laws.Gaussian(np.eye(3)),
        families.Projected(families.Linear(np.eye(2)), np.eye(3)[:, :2]),
        5,
    ),
    "y = x": (laws.Gaussian([1.0]), families.Linear([[0.0]], [1.0]), 10),
}


@pytest.mark.parametrize("name", SAME)
def test_what_is_not_known_to_be_symmetric_is_compared(name):
    covariates, tasks, n = SAME[name]
    prompts = PromptDistribution(covariates, tasks, n, 0.1 if n == 20 else 0.0)
    found = theory.layer_optimum(prompts)
    assert found.is_gd_form is True
    best = theory.optimal_attention(prompts, starts=3).risk
    assert best == pytest.approx(theory.optimal_risk(prompts), rel=1e-8)
    if name == "y = x":
        assert best == pytest.approx(1 / 6)


def test_a_layer_that_leaves_the_gd_form_beats_it():
    tasks = families.Linear(np.eye(3) / 2, [1.0, 0.0, 0.0])
    prompts = PromptDistribution(laws.Gaussian(np.eye(3)), tasks, 10, 0.1**0.5)
    found = theory.layer_optimum(prompts)
    assert found.is_gd_form is False and found.proven
    assert found.risk == pytest.approx(0.67762316) and found.gd_risk > 0.7
    a, q = (jnp.asarray(part) for part in found.weights)
    layer = LinearAttention(q, a, None, None)
    step = GradientStep(theory.optimal_preconditioner(prompts))
    risks = simulate_risks(
        {"layer": layer, "step": step}, prompts, num_prompts=2**17, key=jr.key(0)
    )
    assert risks["layer"].deviation(found.risk) < 4
    assert risks["step"].deviation(found.gd_risk) < 4


def test_a_family_without_token_moments_is_not_decided():
    prompts = PromptDistribution(
        laws.Gaussian(np.eye(2)), families.DecisionTree(2, 2, 0.5), 4
    )
    found = theory.layer_optimum(prompts)
    assert found.is_gd_form is None and "fourth moments" in found.reason
