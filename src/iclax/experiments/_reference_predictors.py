"""The reference curves of a comparison: ridge or Bayes, and least squares."""

from typing import Any

import numpy as np

from .._errors import AssumptionError
from ..evaluation import Estimate, simulate_risks
from ..predictors import LeastSquares, Ridge, bayes_predictor
from ..prompts import PromptDistribution


def reference_risks(
    prompts: PromptDistribution, *, num_prompts: int, key: Any
) -> dict[str, Estimate]:
    """Simulated risk of the Bayes predictor or of ridge, and of least squares.

    "bayes" is the posterior mean where it is known (linear tasks with a Gaussian prior,
    mixtures of them, Gaussian processes); else "ridge" is the best of a grid of ridge
    strengths, chosen on the same prompts.
    """
    scale = float(np.trace(prompts.covariates.second_moment)) / prompts.dim
    strengths = (0.3, 1.0, 3.0, 10.0, 30.0)
    try:
        predictors = {"bayes": bayes_predictor(prompts)}
    except AssumptionError:
        predictors = {f"{s:g}": Ridge(s * scale) for s in strengths}
    predictors["least_squares"] = LeastSquares()
    found = simulate_risks(predictors, prompts, num_prompts=num_prompts, key=key)
    least_squares = found.pop("least_squares")
    name = "bayes" if "bayes" in found else "ridge"
    best = min(found.values(), key=lambda estimate: estimate.mean)
    return {name: best, "least_squares": least_squares}
