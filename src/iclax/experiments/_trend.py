"""How far a training came: whether its risk still falls, and where that would end."""

from typing import Any

import numpy as np

from .. import theory
from .._errors import AssumptionError
from ..prompts import PromptDistribution

_FALLING = 0.9  # excess of the last fifth of the steps over that of the fifth before
_AT_REST = 0.02  # of the whole drop: so near to a saddle a training rests on it
_STEPS = 2000  # of the descent on from trained weights


def unfinished(steps: Any, risks: Any, minimum: float) -> str | None:
    """What says that more steps would go further down; None where nothing does.

    `risks` are one run's exact risks at `steps`: their mean excess over the `minimum`
    in the last fifth of the training is held against that of the fifth before.
    """
    steps, excess = np.asarray(steps, float), np.asarray(risks, float) - minimum
    before = excess[(steps > 0.6 * steps[-1]) & (steps <= 0.8 * steps[-1])]
    last = excess[steps > 0.8 * steps[-1]]
    if not len(before) or not len(last) or not last.mean() < _FALLING * before.mean():
        return None
    return (
        f"training has not converged: its exact excess risk still fell, from "
        f"{before.mean():.2g} to {last.mean():.2g} over the last two fifths of the "
        f"{steps[-1]:.0f} steps"
    )


def resting_place(risk: float, prompts: PromptDistribution) -> str | None:
    """The saddle that an exact risk is at, in words; None away from all of them.

    Heads with separate keys and queries learn one direction after another and rest
    where m of p are learned; see `theory.saddles`.
    """
    try:
        losses = theory.saddles(prompts).losses
    except AssumptionError:
        return None
    near = np.abs(risk - losses) <= _AT_REST * (losses[0] - losses[-1])
    if near[-1] or not near.any():
        return None
    learned = int(np.argmin(np.abs(risk - losses)))
    return (
        f"it rests at a saddle: {learned} of {len(losses) - 1} directions are learned "
        f"(exact risk there {losses[learned]:.4g}), and more steps may leave it"
    )


def lowest_from(
    weights: theory.Attention, prompts: PromptDistribution, include_query: bool
) -> tuple[float, float]:
    """The exact risk that descent (L-BFGS) from a layer's weights ends at, and |g||w|.

    Over its effective weights w = (a, Q), balanced: a local minimum of the layer, and
    not a saddle of how keys and queries are written. With the gradient g, |g||w| is at
    least twice what a valley still holds: far below the excess risk, none is left.
    """
    from scipy.optimize import minimize

    m = theory.attention_moments(prompts)
    length = np.sqrt(
        np.linalg.norm(weights.key_query) / np.linalg.norm(weights.readout)
    )
    start = (length * weights.readout, weights.key_query / length)
    cut, shapes = start[0].size, [part.shape for part in start]

    def risk(flat: np.ndarray) -> tuple[float, np.ndarray]:
        parts = flat[:cut].reshape(shapes[0]), flat[cut:].reshape(shapes[1])
        at = theory.Attention(*parts)
        value = theory.risk_from_attention_moments(at, m, include_query)
        slope = theory.gradient_from_attention_moments(at, m, include_query)
        flat_slope = np.concatenate([np.ravel(part) for part in slope])
        return float(value) / m.power, flat_slope / m.power

    flat = np.concatenate([np.ravel(part) for part in start])
    options = {"maxiter": _STEPS, "maxfun": 2 * _STEPS, "ftol": 1e-14, "gtol": 1e-9}
    found = minimize(risk, flat, jac=True, method="L-BFGS-B", options=options)
    left = np.linalg.norm(found.jac) * np.linalg.norm(found.x)
    return float(found.fun * m.power), float(left * m.power)
