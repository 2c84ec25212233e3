"""The best step size that several steps of gradient descent share."""

from collections.abc import Callable

import numpy as np

from .._errors import SettingError
from ..prompts import PromptDistribution
from ._one_layer import PlainStep, best_plain_step, prompt_moments
from ._polynomial import convex_edge, least_point, turning_edge
from ._reference_risks import MOST_PAIRED_STEPS, descent_risks


def best_gradient_descent(prompts: PromptDistribution, num_steps: int) -> PlainStep:
    """The best step size shared by `num_steps` plain steps (1/n convention), and its
    exact risk; see `gradient_descent_risk`.

    One step has a closed form. The risk of K steps is a polynomial of degree 2K in the
    step; this is its global minimum.

    Raises `SettingError` for fewer steps than one, and `AssumptionError` where
    `gradient_descent_risk` does.
    """
    if num_steps < 1:
        raise SettingError("num_steps", f"{num_steps}", "a whole number of at least 1")
    if num_steps == 1:
        return best_plain_step(prompts)
    risk, scale = _shared_step_risk(prompts, num_steps), _scale(prompts)
    # With the query like the covariates the risk only grows below 0.
    signs = [1.0] if prompts.query_covariates is None else [1.0, -1.0]
    if scale == 0:
        best = 0.0
    elif num_steps <= MOST_PAIRED_STEPS:
        best = min((_least(risk, s, num_steps, scale) for s in signs), key=risk)
    else:
        best = _least_on_the_spectrum(risk, prompts, num_steps, scale)
    return PlainStep(np.float64(best), np.float64(risk(best)))


def _shared_step_risk(
    prompts: PromptDistribution, num_steps: int
) -> Callable[[float], float]:
    risks = descent_risks(num_steps, prompts)
    return lambda step: float(risks([step] * num_steps))


def _scale(prompts: PromptDistribution) -> float:
    """2 sqrt(P / tr(Λ_q B)): beyond it one step is worse than none."""
    m = prompt_moments(prompts)
    power, curvature = float(m.power), float(np.sum(m.query * m.gradient))
    return 2 * (power / curvature) ** 0.5 if power > 0 and curvature > 0 else 0.0


def _least(
    risk: Callable[[float], float], sign: float, num_steps: int, scale: float
) -> float:
    """The best step of one sign."""
    curve = lambda size: risk(sign * size)
    edge = turning_edge(curve, 2 * num_steps, scale)
    return sign * least_point(curve, 2 * num_steps, 0.0, edge)


def _least_on_the_spectrum(
    risk: Callable[[float], float],
    prompts: PromptDistribution,
    num_steps: int,
    scale: float,
) -> float:
    """Without noise the risk is a mean of (1 − ηt)^{2K}: convex, and least above 0."""
    noiseless = _shared_step_risk(prompts.replace(noise_std=0.0), num_steps)
    edge = convex_edge(noiseless, scale / (2 * num_steps))
    return least_point(risk, 2 * num_steps, 0.0, edge)
