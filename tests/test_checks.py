"""What is judged of a trained layer, and when a check decides nothing."""

from dataclasses import replace

import jax.random as jr
import numpy as np
import pytest

from iclax import theory
from iclax.covariates import Gaussian, Uniform
from iclax.evaluation import Estimate
from iclax.experiments._checks import Tolerances, judge
from iclax.experiments._claims import FORMS, Claim, exact_claim
from iclax.experiments._comparison import Comparison
from iclax.experiments._layer import TrainedLayer
from iclax.experiments._reference_predictors import (
    exact_reference,
    reference_predictors,
)
from iclax.experiments._trend import lowest_from, resting_place, unfinished
from iclax.prompts import PromptDistribution
from iclax.tasks import DecisionTree, Linear, ReluNeuron, SparseLinear

EYE = np.eye(1)
NEAR = theory.Distance(0.0, 0.0, 1.0, 0.0)
LIMIT = Tolerances(risk=0.01, prediction=0.05, gamma=0.05, outside=0.05)


def claim(form="plain", **known):
    prompts = PromptDistribution(Gaussian(EYE), Linear(EYE), 3, 0.0)
    basic = {"gamma": EYE, "layer_risk": 1.0, "zero_risk": 2.0, "risk": 1.0}
    return Claim(prompts, form, "", **(basic | known))


def layer(exact=1.0, risk=None, **known):
    basic = {
        "gamma": EYE,
        "vanishing_blocks": 0.0,
        "risk": Estimate(exact if risk is None else risk, 0.01, 100),
        "exact_risk": exact,
        "distance": NEAR,
        "prediction": Estimate(0.0, 0.001, 100),
    }
    return TrainedLayer(4, **(basic | known))


def check(name, layers, of=None, limit=LIMIT):
    found = judge(of or claim(), layers, limit)
    return next(c for c in found if c.name.startswith(name))


@pytest.mark.parametrize("best", [0.0, 1e-16])
def test_an_exact_minimum_of_zero_is_judged_on_the_scale_of_predicting_zero(best):
    known = claim(layer_risk=best)
    found = check("excess", [layer(1e-3)], known)
    assert found.value == pytest.approx(5e-4) and found.passed
    assert check("excess", [layer(0.1)], known).passed is False
    nothing = claim(layer_risk=0.0, zero_risk=0.0)
    assert all(c.passed for c in judge(nothing, [layer(0.0)], LIMIT))


@pytest.mark.parametrize(
    "known, passed, words",
    [
        ({}, False, "5 % above its minimum 1 (at most 1 %)"),
        ({"unfinished": "training has not converged"}, None, "has not converged"),
        ({"unfinished": "it rests at a saddle"}, None, "it rests at a saddle"),
        ({"trapped": "a trap"}, False, "a trap"),
        ({"exact_risk": None, "unknown": "why"}, None, "not known (why)"),
    ],
)
def test_an_excess_fails_only_after_training_has_converged(known, passed, words):
    found = check("excess", [layer(), layer(1.05, **known)])
    assert found.passed is passed and words in found.text
    assert check("excess", [layer(1.005, **known)]).passed is (
        None if known.get("unknown") else True
    )


def test_a_simulation_decides_nothing_under_heavy_tails_or_without_an_exact_value():
    assert check("simulation", [layer(1.0, 1.02)]).passed is True
    assert check("simulation", [layer(1.0, 1.05)]).passed is False
    heavy = Estimate(1.5, 0.01, 100, heavy_tailed=True)
    found = check("simulation", [replace(layer(), risk=heavy)])
    assert found.passed is None and "tails" in found.text
    assert check("simulation", [layer(exact_risk=None, unknown="why")]).passed is None


def test_a_distance_in_flat_directions_is_not_decided():
    flat = theory.Distance(0.67, 0.03, 3e4, 0.99)
    found = check("preconditioner", [layer(distance=flat)])
    assert found.passed is None
    assert "67 % from Γ* in norm" in found.text and "3 % in the metric" in found.text
    assert "1 : 3e+04" in found.text and "99%" in found.text
    steep = theory.Distance(0.67, 0.5, 2.0, 0.0)
    apart = Estimate(0.5, 0.001, 100)
    bad = layer(distance=steep, prediction=apart)
    assert check("preconditioner", [bad]).passed is False
    late = replace(bad, unfinished="training has not converged")
    assert check("preconditioner", [late]).passed is None


def test_weights_that_predictions_do_not_tell_apart_are_not_decided():
    """y = x without noise: a layer may read the labels or x, with one prediction."""
    steep = theory.Distance(0.5, 0.5, 1.0, 0.0)
    alike = layer(distance=steep, vanishing_blocks=0.7)
    for name in ("preconditioner", "outside"):
        found = check(name, [alike])
        assert found.passed is None and "other weights predict alike" in found.text
    apart = replace(alike, prediction=Estimate(0.3, 0.001, 100))
    assert check("outside", [apart]).passed is False


def test_predictions_within_their_own_error_of_the_limit_are_not_decided():
    at = lambda mean, error: layer(prediction=Estimate(mean, error, 100))
    assert check("prediction", [at(0.04, 0.001)]).passed is True
    assert check("prediction", [at(0.06, 0.001)]).passed is False
    assert check("prediction", [at(0.06, 0.01)]).passed is None


def edge(mean, error, **known):
    return layer(advantage=Estimate(mean, error, 100), **known)


def test_an_effect_below_the_resolution_is_not_decided():
    close = claim("preconditioned", gd_risk=1.0001)
    found = check("beats plain GD", [edge(0.0001, 0.001)], close)
    assert found.passed is None and "resolves no less than 0.005" in found.text
    wide = claim("preconditioned", gd_risk=1.5)
    assert check("beats", [edge(0.5, 0.001)], wide).passed is True
    assert check("beats", [edge(0.0, 0.001)], wide).passed is False
    left = check("beats", [edge(0.0, 0.001, exact=1.4)], wide)
    assert left.passed is None and "training has left 0.4" in left.text


def test_a_margin_without_a_standard_error_is_a_number():
    known = claim("full", risk=1.1)
    assert check("beats every GD form", [edge(0.1, 0.0)], known).passed
    both = [edge(0.1, 0.0), edge(0.0, 0.0)]
    assert check("beats every GD form", both, known).passed is False


def comparison(of, *layers):
    found = object.__new__(Comparison)  # without the training that it holds
    vars(found).update(claim=of, layers=layers, checks=judge(of, layers, LIMIT))
    return found


def test_the_verdict_rests_on_risk_and_predictions():
    good = comparison(claim(), layer())
    assert good.holds is True and good.verdict == "holds: one plain GD step"
    flat = layer(distance=theory.Distance(0.67, 0.03, 3e4, 0.99))
    partly = comparison(claim(), flat)
    assert partly.holds is True
    assert partly.verdict.endswith("(not decided: preconditioner)")
    late = comparison(claim(), layer(1.5, unfinished="training has not converged"))
    assert late.holds is None and "not decided: excess risk" in late.verdict
    bad = comparison(claim(), layer(1.5))
    assert bad.holds is False and bad.verdict == "fails: excess risk"
    only = comparison(claim("gd_form_only"), layer())
    assert only.holds is None and FORMS["gd_form_only"] in only.verdict


# The exact side: what was said to beat what.


def test_claims_compare_exact_optima():
    sparse = PromptDistribution(Gaussian(np.eye(4)), SparseLinear(4, 2), 20, 0.1)
    assert exact_claim(sparse).form == "plain"
    line = PromptDistribution(Gaussian([1.0]), Linear([[0.0]], [1.0]), 10)
    found = exact_claim(line)
    assert found.form == "plain" and found.rival() is None
    assert found.layer_risk == pytest.approx(1 / 6)
    near = PromptDistribution(Gaussian([1.0, 1.0, 1.02]), Linear(np.eye(3)), 10, 0.3)
    found = exact_claim(near)
    assert found.form == "preconditioned"
    assert 0 < found.rival_risk - found.layer_risk < 2e-4
    mean = PromptDistribution(Gaussian(np.eye(3)), Linear(np.eye(3) / 2, [1, 0, 0]), 10)
    assert exact_claim(mean).form == "full"
    assert exact_claim(mean).no_context_risk == pytest.approx(1.5)
    tree = PromptDistribution(Gaussian(np.eye(2)), DecisionTree(2, 2, 0.5), 4)
    assert exact_claim(tree).form == "gd_form_only"


def test_the_claimed_optimum_has_its_own_exact_risk(getkey):
    """With the query token inside the sum too."""
    mean = PromptDistribution(Gaussian(np.eye(2)), Linear(np.eye(2) / 2, [1.0, 0]), 5)
    for include_query in (False, True):
        found = exact_claim(mean, include_query)
        assert found.form == "full"
        assert theory.risk(found.predictor(), mean) == pytest.approx(
            found.layer_risk, rel=1e-5
        )


# How far training came.


def test_a_risk_that_still_falls_has_not_converged():
    steps = np.arange(10, 1001, 10)
    assert unfinished(steps, 1 + np.exp(-steps / 300), 1.0) is not None
    text = unfinished(steps, 1 + np.exp(-steps / 300), 1.0)
    assert "0.09" in text and "1000 steps" in text
    assert unfinished(steps, np.full(100, 1.2), 1.0) is None
    assert unfinished(steps[:2], np.ones(2), 1.0) is None


def test_a_saddle_is_named_by_its_directions():
    prompts = PromptDistribution(Gaussian([3.0, 2.0, 1.0]), Linear(np.eye(3)), 20)
    losses = theory.saddles(prompts).losses
    for learned in range(3):
        text = resting_place(1.001 * losses[learned], prompts)
        assert f"{learned} of 3 directions are learned" in text
    assert resting_place(losses[3], prompts) is None
    assert resting_place((losses[0] + losses[1]) / 2, prompts) is None


# Where training would go on to.


def weights_of(gamma, readout=None):
    """The layer of a Γ, or one that reads all labels through the keys."""
    d = len(gamma)
    gd = theory.gd_attention(np.asarray(gamma, float))
    if readout is None:
        return theory.Attention(np.atleast_2d(gd[0]), np.reshape(gd[1], (1, d + 1, d)))
    keys = np.vstack([np.zeros((d, d)), np.ones((1, d))])[None]
    return theory.Attention(np.asarray([[*readout, 0.0]]), keys)


def test_descent_from_near_the_minimum_reaches_it():
    """Also along a valley of the risk, whose floor is flat: never called a trap."""
    for cov in ([1.0, 0.5], [1.0, 1e-4]):
        prompts = PromptDistribution(Gaussian(cov), Linear(np.eye(2)), 10, 0.3)
        gamma = 0.5 * np.asarray(theory.optimal_preconditioner(prompts))
        least = theory.optimal_risk(prompts)
        end, left = lowest_from(weights_of(gamma), prompts, False)
        assert least - 1e-12 <= end and end - least <= max(1e-6, 10 * left)


def test_descent_from_a_trap_stays_there_at_rest():
    """ReLU tasks, d = 2: a layer that reads the labels through its keys alone."""
    prompts = PromptDistribution(Uniform(np.eye(2)), ReluNeuron(np.eye(2), 0.5), 4, 0.3)
    least = theory.optimal_risk(prompts)
    end, left = lowest_from(weights_of(np.eye(2), [1.0, 1.0]), prompts, False)
    assert end > 1.2 * least and left < 1e-3 * (end - least)
    start = weights_of(np.eye(2), [1.0, 1.0])
    still = theory.attention_risk(*start, prompts)
    assert end <= still


def test_the_saddle_of_a_layer_is_left():
    """Only one of two directions learned: in its effective weights it is no minimum."""
    prompts = PromptDistribution(Gaussian([3.0, 1.0]), Linear(np.eye(2)), 20)
    gamma = np.diag(np.diagonal(theory.optimal_preconditioner(prompts)) * [1.0, 0.0])
    assert "1 of 2 directions" in resting_place(
        float(theory.preconditioner_risk(gamma, prompts)), prompts
    )
    end, _ = lowest_from(weights_of(gamma), prompts, False)
    assert end == pytest.approx(theory.optimal_risk(prompts), rel=1e-6)


# Numbers that were once reported otherwise.


def test_correlated_covariates_have_a_flat_and_wide_risk():
    """d = 20, Λ_ij = .8^|i−j|, n = 40: what Γ does not share, the risk hardly sees."""
    apart = np.abs(np.subtract.outer(np.arange(20), np.arange(20)))
    prompts = PromptDistribution(Gaussian(0.8**apart), Linear(np.eye(20)), 40)
    found = exact_claim(prompts)
    assert found.layer_risk == pytest.approx(4.58934169824, rel=1e-10)
    assert found.gd_risk == pytest.approx(7.55490361510, rel=1e-10)
    flat = found.gamma + 0.1 * np.linalg.norm(found.gamma) * np.outer(*2 * [FLAT])
    distance = theory.preconditioner_distance(flat, prompts)
    assert distance.norm == pytest.approx(0.1, rel=1e-9)
    assert distance.prediction < 0.02 and distance.curvature_ratio > 1e4


FLAT = np.linalg.eigh(0.8 ** np.abs(np.subtract.outer(range(20), range(20))))[1][:, 0]


def test_the_bayes_risk_of_little_noise_is_exact():
    """d = n = 20, σ = .001, where simulations in float32 gave .94 ± .75."""
    prompts = PromptDistribution(Gaussian(np.eye(20)), Linear(np.eye(20)), 20, 1e-3)
    bayes = reference_predictors(prompts, 64, jr.key(0))["bayes"]
    found = exact_reference("bayes", bayes, prompts)
    assert found.mean == pytest.approx(0.0069177206, rel=1e-7)
    assert found.standard_error == 0
