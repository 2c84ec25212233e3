"""What a comparison must satisfy before it says that theory holds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._claims import Claim
from ._layer import TrainedLayer


@dataclass(frozen=True)
class Check:
    """One measured `value` held against a `limit`.

    `passed` is True, False or None: not decided. `text` is a sentence with the numbers,
    their units and meaning, and, where it does not hold, what is known of the reason.
    """

    name: str
    value: float
    limit: float
    passed: bool | None
    text: str


@dataclass(frozen=True)
class Tolerances:
    """How closely a trained layer must meet theory (fractions, and standard errors).

    `risk`: excess over the exact minimum; `prediction`: RMS distance of predictions;
    `gamma`: ‖Γ_learned − Γ*‖/‖Γ*‖; `outside`: weights outside the GD form, relative to
    Γ; `errors`: standard errors between simulated and exact risk; `margin`: standard
    errors by which the layer must beat what theory says it beats.
    """

    gamma: float = 0.01
    risk: float = 0.005
    outside: float = 0.01
    prediction: float = 0.02
    errors: float = 3.0
    margin: float = 5.0


LAPTOP = Tolerances()
OWN = Tolerances(gamma=0.05, risk=0.01, outside=0.05, prediction=0.05)
TOY = Tolerances(
    gamma=0.1, risk=0.05, outside=0.1, prediction=0.15, errors=4.0, margin=3.0
)


def judge(
    claim: Claim, layers: Sequence[TrainedLayer], limit: Tolerances
) -> tuple[Check, ...]:
    """Everything theory says about the trained layers; each check is of its worst seed.

    What only flat directions of the risk hide, what training has not yet reached, and
    what the simulation cannot resolve is not decided.
    """
    if not claim.known:
        return ()
    checks = [_simulation(layers, limit.errors)]
    if claim.form != "gd_form_only":
        checks = [
            _excess(claim, layers, limit.risk),
            *checks,
            _prediction(layers, limit.prediction),
        ]
        if np.any(claim.gamma):  # else there is nothing that a distance is a part of
            checks.append(_gamma(claim, layers, limit))
            if claim.form != "full":
                checks.append(_outside(layers, limit))
    if claim.rival_risk is not None:
        checks.append(_margin(claim, layers, limit.margin))
    return tuple(checks)


# How many times as far weights must be as predictions, to be called unseen by these.
_UNSEEN = 5

# What the verdict rests on; the others describe the weights behind the same risk.
DECISIVE = ("excess risk", "simulation", "prediction", "beats")


def _excess(claim: Claim, layers: Sequence[TrainedLayer], limit: float) -> Check:
    """How far the worst exact risk is above its minimum, and on which scale.

    A minimum that is 0 up to rounding has no scale: then that of predicting 0 counts.
    """
    name, unknown = "excess risk", [la for la in layers if la.exact_risk is None]
    if unknown:
        text = "the exact risk of the trained weights is not known"
        return Check(name, np.nan, limit, None, f"{text} ({unknown[0].unknown}).")
    worst = max(layers, key=lambda layer: layer.exact_risk)
    scaled = claim.layer_risk > 1e-12 * claim.zero_risk
    scale = claim.layer_risk if scaled else claim.zero_risk or 1.0
    value = (worst.exact_risk - claim.layer_risk) / scale
    of = "" if scaled else " of the risk of predicting 0"
    text = (
        f"the exact risk is {percent(value)}{of} above its minimum "
        f"{claim.layer_risk:.6g} (at most {percent(limit)})"
    )
    return _at_most(name, value, limit, text, worst)


def _simulation(layers: Sequence[TrainedLayer], limit: float) -> Check:
    """Whether simulated and exact risks of the same weights are the same."""
    known = [layer for layer in layers if layer.exact_risk is not None]
    if not known:
        text = f"there is no exact risk of the same weights ({layers[0].unknown})."
        return Check("simulation", np.nan, limit, None, text)
    away = lambda la: abs(la.risk.mean - la.exact_risk) / la.error(la.risk)
    worst = max(known, key=away)
    value, heavy = away(worst), any(la.risk.heavy_tailed for la in known)
    text = (
        f"the simulated risk is {value:.2g} standard errors from the exact risk of the "
        f"same weights (at most {limit:g})"
    )
    if heavy:
        text += "; the prompts have tails so heavy that this means nothing"
        return Check("simulation", value, limit, None, f"{text}.")
    return Check("simulation", value, limit, bool(value <= limit), f"{text}.")


def _prediction(layers: Sequence[TrainedLayer], limit: float) -> Check:
    """The distance of predictions; undecided within its own standard error."""
    worst = max(layers, key=lambda la: la.prediction.mean)
    gap = worst.prediction
    text = (
        f"predictions are {percent(gap.mean)} of their size from theory's, RMS, ± "
        f"{percent(gap.standard_error)} (at most {percent(limit)})"
    )
    if gap.heavy_tailed:
        text += "; heavy tails: the standard error means nothing"
        return Check("prediction", gap.mean, limit, None, f"{text}.")
    near = abs(gap.mean - limit) <= 2 * gap.standard_error
    if near and gap.mean > limit:
        text += "; within two standard errors of the limit"
        return Check("prediction", gap.mean, limit, None, f"{text}.")
    return _at_most("prediction", gap.mean, limit, text, worst)


def _gamma(claim: Claim, layers: Sequence[TrainedLayer], limit: Tolerances) -> Check:
    """Γ in norm; where the risk hardly sees it, it is not decided."""
    worst = max(layers, key=lambda layer: layer.distance.norm)
    found = worst.distance
    # Off the GD form Γ is only a part of the layer, and less sharply determined.
    allowed = limit.gamma if claim.form != "full" else 3 * limit.gamma
    text = (
        f"Γ is {percent(found.norm)} from Γ* in norm (at most {percent(allowed)}) and "
        f"{percent(found.prediction)} in the metric of the risk"
    )
    flat = (
        f"the curvatures of the risk range over 1 : {found.curvature_ratio:.2g}, and "
        f"{found.flat_share:.0%} of the squared distance lies where they are below 1 % "
        "of the largest: there Γ hardly changes a prediction"
    )
    hidden = found.prediction <= limit.prediction and found.flat_share > 0.5
    reason = flat if hidden else _unseen(worst, found.norm, limit)
    return _at_most("preconditioner", found.norm, allowed, text, worst, reason)


def _outside(layers: Sequence[TrainedLayer], limit: Tolerances) -> Check:
    worst = max(layers, key=lambda layer: layer.vanishing_blocks)
    value, allowed = worst.vanishing_blocks, limit.outside
    text = (
        f"weights outside the GD form, which theory says vanish, are {percent(value)} "
        f"of Γ (at most {percent(allowed)})"
    )
    reason = _unseen(worst, value, limit)
    return _at_most("outside the GD form", value, allowed, text, worst, reason)


def _unseen(layer: TrainedLayer, value: float, limit: Tolerances) -> str | None:
    """Where predictions agree although weights do not: others compute the same."""
    gap = layer.prediction.mean
    if gap > limit.prediction or value < _UNSEEN * gap:
        return None
    return f"yet predictions are only {percent(gap)} apart: other weights predict alike"


def _margin(claim: Claim, layers: Sequence[TrainedLayer], limit: float) -> Check:
    """Whether the trained layer beats what theory says it beats, where that shows."""
    plain = claim.form == "preconditioned"
    name = "plain GD" if plain else "every GD form"
    best = "the best plain GD step's" if plain else "the best GD form's"
    edge = lambda la: la.advantage.mean / la.error(la.advantage)
    worst = min(layers, key=edge)
    value, gain = edge(worst), claim.rival_risk - claim.layer_risk
    text = (
        f"its simulated risk is {value:.2g} standard errors below {best}, paired (at "
        f"least {limit:g}; exactly, the optima differ by {gain:.2g})"
    )
    resolved = limit * worst.error(worst.advantage)
    left = max((la.exact_risk or claim.layer_risk) - claim.layer_risk for la in layers)
    reason = worst.unfinished
    if worst.exact_risk is None:
        reason = "without exact risks nobody knows whether training is over"
    if gain < resolved:
        reason = f"the simulation resolves no less than {resolved:.2g}"
    elif gain < 2 * left:
        reason = f"training has left {left:.2g}, about as much, above the minimum"
    if worst.advantage.heavy_tailed:
        reason, value = "heavy tails: the standard error means nothing", np.nan
    passed = True if value >= limit else None if reason else False
    told = f"; {reason}" if reason and passed is None else ""
    return Check(f"beats {name}", float(value), limit, passed, f"{text}{told}.")


def _at_most(
    name: str,
    value: float,
    limit: float,
    text: str,
    layer: TrainedLayer,
    reason: str | None = None,
) -> Check:
    """Holds up to the limit. Above it a `reason`, or a training that may go on to fall
    for all that is known, leaves it undecided; else it fails, and its trap is named.
    """
    if value <= limit:
        return Check(name, float(value), limit, True, f"{text}.")
    if layer.exact_risk is None:
        reason = (
            reason or "without its exact risk nobody knows whether training is over"
        )
    reason = reason or layer.unfinished
    trap = name == "excess risk" or not layer.trapped
    told = reason or (layer.trapped if trap else "it is in that local minimum")
    text = f"{text}; {told}." if told else f"{text}."
    return Check(name, float(value), limit, None if reason else False, text)


def percent(share: float) -> str:
    """A share as a percentage, two digits."""
    return f"{100 * share:.2g} %"
