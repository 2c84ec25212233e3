"""Risk at other context lengths: exact lines, and simulated points of the layer."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from iclax import figures, theory
from iclax.covariates import Gaussian
from iclax.experiments._claims import exact_claim
from iclax.experiments._context_curve import context_curve
from iclax.models import LinearAttention
from iclax.prompts import PromptDistribution
from iclax.tasks import DecisionTree, Linear

ISOTROPIC = PromptDistribution(Gaussian(np.eye(2)), Linear(np.eye(2)), 10, 0.3)
MEAN = ISOTROPIC.replace(tasks=Linear(np.eye(2) / 2, [1.0, 0.5]))


def undivided(gamma, n):
    """A layer that does not divide by n, and has Γ at context length n."""
    gd = LinearAttention.from_preconditioner(jnp.asarray(gamma) / n)
    return LinearAttention(gd.query, gd.readout, None, None, "none")


def curve(prompts, model, lengths=(2, 5, 10, 40)):
    return context_curve(exact_claim(prompts), model, lengths, 2**14, jr.key(0))


@pytest.mark.parametrize(
    "prompts", [ISOTROPIC, pytest.param(MEAN, marks=pytest.mark.ci)]
)
def test_lines_are_exact_at_every_length(prompts):
    found = curve(prompts, LinearAttention.init(2, key=jr.key(1)))["lines"]
    assert list(found["length"]) == list(range(2, 41))
    claim = exact_claim(prompts)
    for at in (0, 1, 3, 20):
        other = prompts.replace(context_length=int(found["length"][at]))
        assert found["optimum"][at] == pytest.approx(theory.optimal_risk(other))
        risk = theory.risk(claim.predictor(), other)
        assert found["claimed"][at] == pytest.approx(risk, rel=1e-5)


def test_long_ranges_have_as_many_lengths_as_a_figure_can_show():
    claim, layer = exact_claim(ISOTROPIC), undivided(np.eye(2), 10)
    found = context_curve(claim, layer, (1, 50_000), 64, jr.key(0))["lines"]
    assert found["length"][0] == 1 and found["length"][-1] == 50_000
    assert len(found["length"]) <= 400 and len(set(found["length"][:9])) == 9


def test_a_layer_that_does_not_divide_by_n_has_its_own_curve():
    """Its Γ grows with n: no stand-in that divides."""
    gamma = theory.optimal_preconditioner(ISOTROPIC)
    found = curve(ISOTROPIC, undivided(gamma, 10))
    for row in found["rows"]:
        n = row["length"]
        other = ISOTROPIC.replace(context_length=n)
        own = theory.preconditioner_risk(n / 10 * gamma, other)
        assert row["exact"] == pytest.approx(own, rel=1e-5)
        assert abs(row["simulated"] - own) < 5 * row["standard_error"]
        at = list(found["lines"]["length"]).index(n)
        assert found["lines"]["exact"][at] == pytest.approx(row["exact"])
    assert found["rows"][-1]["exact"] > 3 * found["rows"][-1]["claimed"]


def test_what_is_not_known_is_not_drawn():
    trees = ISOTROPIC.replace(tasks=DecisionTree(2, 2, 0.5))
    model = LinearAttention.init(2, key=jr.key(1))
    found = curve(trees, model, (5, 10))
    assert found["lines"]["exact"] == [None] * 6
    assert None not in found["lines"]["claimed"]
    case = {"label": "trees", "context": found}
    axis = figures.context_curves({"a": case}).axes[0]
    labels = [line.get_label() for line in axis.get_lines()]
    assert "exact: the trained layer" not in labels
    assert "exact: best GD form at each length" in labels
