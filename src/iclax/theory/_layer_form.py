"""Whether the optimum of the full linear-attention layer is of GD form."""

from dataclasses import dataclass

from jaxtyping import Float

from .._arrays import Array
from .._errors import AssumptionError
from ..covariates import Covariates
from ..prompts import PromptDistribution, RepeatedPoint
from ._certificate import no_heads_do_better
from ._full_attention_moments import attention_moments
from ._full_attention_optimum import optimal_attention
from ._full_attention_weights import Attention, gd_attention
from ._one_layer import prompt_moments
from ._units import Units
from .families import is_rotation_invariant, is_sign_symmetric

_SAME = 1e-10  # share of the power up to which two exact risks count as one
_TOLERANCE = 1e-9  # of the gradient over heads, as in `certify`


@dataclass(frozen=True, eq=False)
class LayerOptimum:
    """The best layer of linear attention, held against its best GD form.

    `is_gd_form`: True, False, or None where the full layer has no exact theory;
    `proven` for any number of heads; `reason` in words. `risk` and `gamma` (of the part
    linear in the labels) belong to the best head, `weights` are its own where it is not
    of GD form; `gd_risk` is the least risk of a GD form.
    """

    is_gd_form: bool | None
    proven: bool
    reason: str
    gd_risk: Float[Array, ""]
    risk: Float[Array, ""]
    gamma: Float[Array, "d d"]
    weights: Attention | None = None


def layer_optimum(
    prompts: PromptDistribution, *, include_query: bool = False, starts: int = 8
) -> LayerOptimum:
    """Compare the exact optima of the full layer and of the GD form.

    A symmetry decides (`gd_form_reason`); else the gradient over any number of heads at
    the best GD form, which is 0 only where none does better; else the best single head
    that a search from `starts` random directions finds. Raises `AssumptionError` where
    not even the GD form has exact theory.
    """
    m = prompt_moments(prompts)
    gamma, risk = m.optimum(), m.least_risk()
    symmetry = gd_form_reason(prompts)
    if symmetry is not None:
        return LayerOptimum(True, True, symmetry, risk, risk, gamma)
    try:
        moments = attention_moments(prompts)
    except AssumptionError as error:
        return LayerOptimum(None, False, str(error), risk, risk, gamma)
    units = Units.of(moments)
    scaled = units.weights_in(gd_attention(gamma))
    if no_heads_do_better(scaled, units.moments(moments), include_query, _TOLERANCE):
        reason = "no layer does better: the exact gradient over all heads is 0 there"
        return LayerOptimum(True, True, reason, risk, risk, gamma)
    best = optimal_attention(prompts, include_query=include_query, starts=starts)
    if best.risk >= risk - _SAME * m.power:
        reason = f"no better head was found from {starts} starts (several may be)"
        return LayerOptimum(True, False, reason, risk, risk, gamma)
    reason = "one head has a lower exact risk than any GD form"
    weights = Attention(best.readout[None], best.key_query[None])
    return LayerOptimum(False, True, reason, risk, best.risk, best.gamma, weights)


def gd_form_reason(prompts: PromptDistribution) -> str | None:
    """Why the full layer's optimum is a GD step on `prompts`, or None if no symmetry
    says so (it may be one all the same: compare the exact optima).

    Either symmetry is enough (derived in docs/theory/one-layer.md). *Sign symmetry*:
    the part of ŷ that is even in y is uncorrelated with the target and with the odd
    part x_qᵀ Γ b, so it only adds risk. *Rotation invariance*: the risk is convex in
    the products a ⊗ Q and can be averaged over rotations, and the only invariant
    features left are multiples of Σ y_i x_i; the paper's Theorem 3 assumes both. It
    asks for a rotation invariant query too.
    """
    if is_sign_symmetric(prompts.tasks):
        return "f and −f have the same distribution"
    around = is_rotation_invariant(prompts.tasks, prompts.covariates)
    if around and _has_round_query(prompts):
        return "the distributions of x and f are rotation invariant"
    return None


def _has_round_query(prompts: PromptDistribution) -> bool:
    """Whether x_q turns with an isotropic context, or is isotropic itself."""
    query = prompts.query_covariates
    if query is None or isinstance(query, RepeatedPoint):
        return True
    return isinstance(query, Covariates) and bool(query.rotation_invariant)
