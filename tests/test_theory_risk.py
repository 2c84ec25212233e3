"""`theory.risk`: the exact risk of any predictor that states its form, whole."""

import equinox as eqx
import helpers
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from iclax import models, predictors, theory
from iclax._errors import AssumptionError
from iclax._forms import stated_form
from iclax.covariates import Gaussian
from iclax.evaluation import simulate_risks
from iclax.prompts import PromptDistribution
from iclax.tasks import DecisionTree, Linear, LinearPool, Quadratic

DIM = 2
ISOTROPIC = PromptDistribution(Gaussian(np.eye(DIM)), Linear(0.7 * np.eye(DIM)), 6, 0.5)
MEAN = ISOTROPIC.replace(tasks=Linear(np.eye(DIM) / 2, [1.0, 0.5]))


def small(model):
    """The same model with weights that are not negligible."""
    return jax.tree.map(lambda w: 4 * w if eqx.is_array(w) else w, model)


KEY = jr.key(5)
PREDICTORS = (
    {
        "zero": predictors.Zero(),
        "step": predictors.GradientStep(helpers.spd(DIM, 3) / 3),
        "number": predictors.GradientStep(0.4),
        "averaging": predictors.Averaging(),
        "descent": predictors.GradientDescent(3, [0.2, 0.4, 0.1]),
        "one step": predictors.GradientDescent(1, helpers.spd(DIM, 4) / 4),
        "no step": predictors.GradientDescent(0, 1.0),
        "matrix steps": predictors.GradientDescent(2, np.eye(DIM) / 3),
        "gd++": predictors.GradientDescentPlusPlus(2, 0.3, 0.1),
        "ridge": predictors.Ridge(0.8),
        "least squares": predictors.LeastSquares(),
        "posterior": predictors.GaussianPosteriorMean(0.7 * np.eye(DIM), 0.5),
        "other prior": predictors.GaussianPosteriorMean(2 * np.eye(DIM), 0.5),
        "wrong prior": predictors.GaussianPosteriorMean([1.0, 2.0], 0.5),
        "pool": predictors.DiscreteMMSE(np.eye(DIM), 0.5),
        "mixture": predictors.MixturePosteriorMean(
            [1.0], np.zeros((1, DIM)), np.eye(DIM)[None], 0.5
        ),
        "nearest": predictors.KNearest(2),
        "process": predictors.GaussianProcessPosterior(lambda x, z: x @ z.T, 0.5),
    }
    | {
        f"layer {kind} {heads} {norm} {query}": small(
            models.LinearAttention.init(
                DIM,
                heads=heads,
                parametrization=kind,
                normalization=norm,
                include_query=query,
                key=KEY,
            )
        )
        for kind, heads, norm, query in (
            ("separate", 1, "context", False),
            ("merged", 2, "none", False),
            ("low_rank", 2, "context", True),
            ("merged_columns", 1, "none", True),
        )
    }
    | {
        f"stack {name}": small(models.AttentionStack.init(DIM, key=KEY, **options))
        for name, options in {
            "one": {"sign": -1.0},
            "separate": {"merged": False, "heads": 2, "normalization": "none"},
            "query": {"include_query": True},
            "two": {"layers": 2},
            "softmax": {"attention": "softmax"},
        }.items()
    }
)
UNKNOWN = {
    "matrix steps",
    "gd++",
    "pool",
    "mixture",
    "nearest",
    "process",
    "stack two",
    "stack softmax",
}


def test_the_registry_holds_every_predictor_and_model():
    here = {type(p) for p in PREDICTORS.values()} | {models.GPT, models.FixedPromptLoss}
    for folder in (predictors, models):
        for value in vars(folder).values():
            if isinstance(value, type) and issubclass(value, eqx.Module):
                assert value in here, value


LAWS = {"isotropic": ISOTROPIC, "mean": MEAN}


@pytest.mark.parametrize("name", PREDICTORS)
@pytest.mark.parametrize("law", helpers.mostly_in_ci(LAWS, keep=["mean"]))
def test_every_exact_risk_is_that_of_the_object(name, law):
    """Against draws of the object itself, or refused; nothing in between."""
    predictor, prompts = PREDICTORS[name], LAWS[law]
    if name in UNKNOWN or (name == "wrong prior"):
        with pytest.raises(AssumptionError):
            theory.risk(predictor, prompts)
        return
    try:
        exact = theory.risk(predictor, prompts)
    except AssumptionError:
        assert "prior" in name or name == "posterior"  # of other tasks
        return
    found = simulate_risks({"p": predictor}, prompts, num_prompts=2**16, key=KEY)["p"]
    assert found.deviation(exact) < 4.5


def test_weights_optima_and_preconditioners_are_taken_as_they_are():
    gamma = theory.optimal_preconditioner(MEAN)
    assert theory.risk(gamma, MEAN) == theory.optimal_risk(MEAN)
    best, heads = theory.optimal_attention(MEAN), theory.multi_head_optimum(MEAN)
    assert theory.risk(best, MEAN) == pytest.approx(best.risk)
    assert theory.risk(heads.weights, MEAN) == pytest.approx(heads.risk)
    pair = (best.readout, best.key_query)
    assert theory.risk(pair, MEAN) == pytest.approx(best.risk)
    assert theory.risk(0.3, MEAN) == theory.preconditioner_risk(0.3 * np.eye(2), MEAN)


def test_a_layer_that_leaves_the_gd_form_keeps_its_own_risk():
    """A pool of four tasks: Γ of the best layer is not its risk on new tasks."""
    pool = LinearPool(np.random.default_rng(0).standard_normal((4, 8)))
    prompts = PromptDistribution(Gaussian(np.eye(8)), pool, 32, 0.5)
    best = theory.optimal_attention(prompts, starts=2)
    new = prompts.replace(tasks=Linear(np.eye(8)))
    whole, part = theory.risk(best, new), theory.risk(best.gamma, new)
    assert whole > 1.2 * part
    a, q = jnp.asarray(best.readout), jnp.asarray(best.key_query)
    layer = models.LinearAttention(q[None], a[None], None, None)
    assert theory.risk(layer, new) == pytest.approx(whole, rel=1e-5)
    with pytest.warns(models.PartialForm, match="leaves out parts"):
        layer.preconditioner()
    size = float(layer.vanishing_blocks())
    assert size > 0.01


def test_no_part_of_a_layer_is_dropped_where_only_the_gd_form_is_known():
    prompts = ISOTROPIC.replace(tasks=DecisionTree(DIM, 2))
    layer = PREDICTORS["layer separate 1 context False"]
    with pytest.raises(AssumptionError, match="fourth moments"):
        theory.risk(layer, prompts)
    gamma = theory.optimal_preconditioner(prompts)
    gd = models.LinearAttention.from_preconditioner(gamma)
    assert theory.risk(gd, prompts) == pytest.approx(
        theory.optimal_risk(prompts), rel=1e-5
    )
    double = models.LinearAttention(gd.query, gd.readout, None, None, "none")
    assert theory.risk(double, prompts) == pytest.approx(
        theory.preconditioner_risk(6 * gamma, prompts), rel=1e-5
    )


class Offset(predictors.GradientStep):
    """Predicts otherwise than its parent states."""

    def __call__(self, prompt):
        return super().__call__(prompt) + 1.0


def test_a_subclass_that_predicts_otherwise_has_no_form():
    assert stated_form(Offset(1.0)) is None
    with pytest.raises(AssumptionError, match="states what it computes"):
        theory.risk(Offset(1.0), ISOTROPIC)
    with pytest.raises(AssumptionError):
        theory.risk(lambda prompt: 0.0, ISOTROPIC)
    with pytest.raises(AssumptionError):
        theory.risk(PREDICTORS["ridge"], ISOTROPIC.replace(tasks=Quadratic(DIM)))


LAYERS = [name for name in PREDICTORS if name.startswith(("layer", "stack"))]


@pytest.mark.parametrize("name", [n for n in LAYERS if n not in UNKNOWN] + ["step"])
@pytest.mark.parametrize("lengths", [[1, 2, 3, 4, 50], [7], [3, 400], [1, 2]])
def test_risks_at_lengths_equal_one_evaluation_each(name, lengths):
    predictor = PREDICTORS[name]
    found = theory.risks_at_lengths(predictor, MEAN, lengths)
    one = [theory.risk(predictor, MEAN.replace(context_length=n)) for n in lengths]
    np.testing.assert_allclose(found, one, rtol=1e-9)


def test_risks_at_lengths_are_for_layers():
    with pytest.raises(AssumptionError, match="one length after the other"):
        theory.risks_at_lengths(PREDICTORS["ridge"], ISOTROPIC, [1, 2])
