"""How far a training came: whether its risk still falls, and where it rests."""

from typing import Any

import numpy as np

from .. import theory
from .._errors import AssumptionError
from ..prompts import PromptDistribution

_FALLING = 0.9  # excess of the last fifth of the steps over that of the fifth before
_AT_REST = 0.02  # of the whole drop: so near to a saddle a training rests on it


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
