"""The reference predictors of a comparison: Bayes or a tuned ridge, least squares."""

from typing import Any

import jax.random as jr
import numpy as np

from .. import theory
from .._errors import AssumptionError
from ..evaluation import Estimate, simulate_risks
from ..predictors import LeastSquares, Ridge, bayes_predictor
from ..prompts import PromptDistribution

RIDGE_STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def reference_predictors(
    prompts: PromptDistribution, num_prompts: int, key: Any
) -> dict[str, Any]:
    """ "bayes" or "ridge", and "least_squares", by name.

    "bayes" is the posterior mean under the setting's own prior, where it is known:
    linear tasks with Gaussian weights, mixtures of them, Gaussian processes. Elsewhere
    "ridge" has the strength that is best on `num_prompts` other prompts.
    """
    try:
        best = {"bayes": bayes_predictor(prompts)}
    except AssumptionError:
        best = {"ridge": tuned_ridge(prompts, num_prompts, key)}
    return best | {"least_squares": LeastSquares()}


def tuned_ridge(prompts: PromptDistribution, num_prompts: int, key: Any) -> Ridge:
    """The best of a grid of strengths, in units of E x_j² where that is known."""
    try:
        scale = float(np.trace(prompts.covariates.second_moment)) / prompts.dim or 1.0
    except AssumptionError:
        scale = 1.0
    grid = {f"{s:g}": Ridge(s * scale) for s in RIDGE_STRENGTHS}
    found = simulate_risks(
        grid, prompts, num_prompts=num_prompts, key=jr.fold_in(key, 1)
    )
    return grid[min(found, key=lambda name: found[name].mean)]


def exact_reference(name: str, predictor: Any, prompts: PromptDistribution) -> Any:
    """The exact risk of a reference as an `Estimate` without error, None elsewhere.

    Float32 cannot resolve small noise near n = d, where risks have heavy tails.
    """
    try:
        if name == "bayes":
            value = theory.bayes_risk(prompts)
        else:
            value = theory.risk(predictor, prompts)
    except AssumptionError:
        return None
    return Estimate(float(value), 0.0, 0)


def exact_where_known(
    references: dict[str, Any], prompts: PromptDistribution, risks: dict[str, Estimate]
) -> dict[str, Estimate]:
    """The risk of every reference: exact where theory knows it, else the simulated."""
    return {
        name: exact_reference(name, predictor, prompts) or risks[name]
        for name, predictor in references.items()
    }
