"""The reference predictors of a comparison: ridge or Bayes, and least squares."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._errors import AssumptionError
from ..evaluation import Estimate
from ..predictors import LeastSquares, Ridge, bayes_predictor
from ..prompts import PromptDistribution


def reference_predictors(prompts: PromptDistribution) -> dict[str, Any]:
    """The Bayes predictor or ridge at several strengths, and least squares.

    "bayes" is the posterior mean where it is known: linear tasks with a Gaussian prior,
    mixtures of them, Gaussian processes.
    """
    scale = float(np.trace(prompts.covariates.second_moment)) / prompts.dim
    strengths = (0.3, 1.0, 3.0, 10.0, 30.0)
    try:
        best = {"bayes": bayes_predictor(prompts)}
    except AssumptionError:
        best = {f"ridge {s:g}": Ridge(s * scale) for s in strengths}
    return best | {"least_squares": LeastSquares()}


def reference_risks(risks: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Of simulated risks those of the references: "ridge" is the best of its grid."""
    ridges = [risk for name, risk in risks.items() if name.startswith("ridge ")]
    best = (
        {"ridge": min(ridges, key=lambda estimate: estimate.mean)}
        if ridges
        else {"bayes": risks["bayes"]}
    )
    return best | {"least_squares": risks["least_squares"]}
