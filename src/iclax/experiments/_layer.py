"""What one seed learned: the trained layer measured against the claim."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .. import theory
from .._errors import AssumptionError
from ..evaluation import Against, Estimate
from ._claims import Claim
from ._context_curve import plain_form
from ._layer_training import layer_weights
from ._trend import lowest_from, resting_place, unfinished

_CLOSE = 1e-3  # of the minimum: no reason is looked for below
_REACHED = 0.1  # of the excess: what descent leaves of it, where it gets to the minimum


@dataclass(frozen=True, eq=False)
class TrainedLayer:
    """What one seed learned. Risks are against the noiseless target.

    `exact_risk` is the exact risk of the trained weights, all of them; None where
    theory does not know it, and `unknown` says why. `risk` is simulated, `prediction`
    the RMS distance to the claimed predictor, `advantage` how far the risk is below
    that of the best plain step (or GD form), paired. `vanishing_blocks` are the weights
    outside the GD form, relative to `gamma`. `unfinished` says why training may go on
    to fall, `trapped` where it has stopped for good. What needs an exact optimum is
    None where none is known.
    """

    seed: int
    gamma: Float[np.ndarray, "d d"]
    vanishing_blocks: float
    risk: Estimate
    exact_risk: float | None = None
    unknown: str = "no exact theory"
    distance: theory.Distance | None = None
    prediction: Estimate | None = None
    advantage: Estimate | None = None
    unfinished: str | None = None
    trapped: str | None = None
    rounding: float = 0.0

    def error(self, estimate: Estimate) -> float:
        """A standard error, at least the float32 rounding of a risk, and not 0."""
        tiny = float(np.finfo(np.float32).tiny)
        return max(estimate.standard_error, self.rounding, tiny)


def measured_layer(
    claim: Claim, seed: int, model: Any, found: Against, steps: Any, risks: Any
) -> TrainedLayer:
    """Everything that is known of the layer that `seed` trained.

    `found` is the simulation of all seeds, `risks` are the exact risks along its
    training at `steps` (None where they were not watched).
    """
    name, prompts = str(seed), claim.prompts
    weights = layer_weights(model, prompts.context_length)
    basic = {
        "seed": seed,
        "gamma": weights.gamma,
        "vanishing_blocks": float(weights.vanishing_blocks),
        "risk": found.risks[name],
        "prediction": found.gaps.get(name),
        "advantage": found.advantages.get(name),
    }
    if not claim.known:
        return TrainedLayer(**basic)
    try:
        exact, unknown = float(theory.risk(model, prompts)), ""
    except AssumptionError as error:
        exact, unknown = None, str(error)
    progress = {} if exact is None else _progress(claim, model, exact, steps, risks)
    return TrainedLayer(
        **basic,
        exact_risk=exact,
        unknown=unknown,
        distance=_distance(claim, weights.gamma),
        **progress,
        rounding=_rounding(claim, exact or 0.0),
    )


def _distance(claim: Claim, gamma: np.ndarray) -> theory.Distance:
    """From the Γ of the claim: of the best GD form, or of the part of a full layer."""
    if claim.form != "full":
        return theory.preconditioner_distance(gamma, claim.prompts)
    m = theory.prompt_moments(claim.prompts)
    size = np.linalg.norm(claim.gamma) or 1.0
    distance = m.distance(gamma, claim.gamma) / (
        m.distance(0 * gamma, claim.gamma) or 1
    )
    found = theory.preconditioner_distance(gamma, claim.prompts)
    return found._replace(
        norm=float(np.linalg.norm(gamma - claim.gamma) / size),
        prediction=float(distance),
    )


def _progress(
    claim: Claim, model: Any, exact: float, steps: Any, risks: Any
) -> dict[str, str | None]:
    """Why training may go on to fall, or where it has stopped for good; else neither.

    The trend of the exact risk tells; where that is flat, where descent from the
    trained weights goes.
    """
    falling = None if risks is None else unfinished(steps, risks, claim.layer_risk)
    excess = exact - claim.layer_risk
    scale = claim.layer_risk or claim.zero_risk
    if falling or not scale or excess <= _CLOSE * scale:
        return {"unfinished": falling}
    form, n = plain_form(model), claim.prompts.context_length
    readout = form.readout * (n / form.divisor if form.divisor else 1)
    weights = theory.Attention(readout, form.key_query)
    end, left = lowest_from(weights, claim.prompts, form.include_query)
    if end - claim.layer_risk <= max(_REACHED * excess, 10 * left):
        more = (
            "training has not converged: descent from its weights goes on to an exact "
            f"risk of {end:.6g}"
        )
        return {"unfinished": resting_place(exact, claim.prompts) or more}
    by_keys = ", the labels read through W_K" if _reads_by_keys(weights) else ""
    return {
        "trapped": f"it has come to a local minimum of the layer{by_keys}: descent "
        f"from its weights ends at an exact risk of {end:.6g}"
    }


def _reads_by_keys(weights: theory.Attention) -> bool:
    """Whether labels enter Γ through the keys more than through the values."""
    d = weights.readout.shape[1] - 1
    (a_x, a_y), (q_x, q_y) = (
        (part[:, :d], part[:, d]) for part in (weights.readout, weights.key_query)
    )
    by_values = np.linalg.norm(np.einsum("h,hjd->dj", a_y, q_x))
    return bool(np.linalg.norm(q_y.T @ a_x) > by_values)


def _rounding(claim: Claim, exact: float) -> float:
    """The float32 rounding of a simulated risk.

    A prediction is rounded by ε times the labels' size √z, its squared error with mean
    r by 2ε√(rz) + ε²z: far below a standard error unless all prompts have one risk.
    """
    eps, size = float(np.finfo(np.float32).eps), claim.zero_risk
    return 2 * eps * (max(exact, 0.0) * size) ** 0.5 + eps**2 * size
