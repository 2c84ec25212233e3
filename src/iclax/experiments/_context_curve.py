"""Risk at other context lengths: exact lines, and simulated points of a layer."""

from collections.abc import Sequence
from typing import Any

import jax.random as jr
import numpy as np

from .. import theory
from .._arrays import is_array
from .._errors import AssumptionError
from .._forms import stated_form
from ..evaluation import simulate_risks
from ._claims import Claim

_MOST_LENGTHS = 400  # of a line; up to here every whole number is one of them


def context_curve(
    claim: Claim, model: Any, lengths: Sequence[int], num_prompts: int, key: Any
) -> dict[str, Any]:
    """The trained layer `model` (as it is, whatever it divides by) at other lengths.

    `rows` are the simulated points at `lengths`, `lines` the exact risks at all lengths
    between them: of the best GD form for each length, of the claimed optimum for the
    training length, and of the layer itself (None where not known).
    """
    prompts = claim.prompts
    if not claim.known or not lengths:
        return {"rows": [], "lines": {}, "trained_at": prompts.context_length}
    trained, best = (plain_form(p) for p in (model, claim.predictor()))
    rows = []
    for i, length in enumerate(lengths):
        other = prompts.replace(context_length=length)
        found = simulate_risks(
            {"risk": model}, other, num_prompts=num_prompts, key=jr.fold_in(key, i)
        )["risk"]
        rows.append(
            {
                "length": length,
                "optimum": float(theory.optimal_risk(other)),
                "claimed": _exact(best, claim, length),
                "exact": _exact(trained, claim, length),
                "simulated": found.mean,
                "standard_error": found.standard_error,
                "heavy_tailed": found.heavy_tailed,
            }
        )
    return {
        "rows": rows,
        "lines": _lines(claim, trained, best, min(lengths), max(lengths)),
        "trained_at": prompts.context_length,
    }


def plain_form(predictor: Any) -> Any:
    """What a predictor states of itself, its arrays in float64 NumPy."""
    form = stated_form(predictor)
    return form._make(
        np.asarray(part, np.float64) if is_array(part) else part for part in form
    )


def _lines(
    claim: Claim, trained: Any, best: Any, low: int, high: int
) -> dict[str, Any]:
    """Exact at every length that a figure can show."""
    grid = length_grid(low, high)
    return {
        "length": grid,
        "optimum": theory.context_length_risks(claim.prompts, grid, retrained=True),
        "claimed": _line(best, claim, grid),
        "exact": _line(trained, claim, grid),
    }


def length_grid(low: int, high: int) -> np.ndarray:
    """Every whole number from `low` to `high`, or as many as a figure can show."""
    grid = np.arange(low, high + 1)
    if len(grid) > _MOST_LENGTHS:
        grid = np.unique(np.rint(np.geomspace(low, high, _MOST_LENGTHS)).astype(int))
    return grid


def _line(form: Any, claim: Claim, grid: np.ndarray) -> Any:
    """Exact risks at all lengths; None where theory does not know them."""
    try:
        return theory.risks_at_lengths(form, claim.prompts, grid)
    except AssumptionError:
        return [None] * len(grid)


def _exact(form: Any, claim: Claim, length: int) -> float | None:
    """The exact risk at a length; None where theory does not know it."""
    try:
        other = claim.prompts.replace(context_length=length)
        return float(theory.risk(form, other))
    except AssumptionError:
        return None
