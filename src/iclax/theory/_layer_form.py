"""When the optimum of the full linear-attention layer is known to be of GD form."""

from ..covariates import Covariates
from ..prompts import PromptDistribution, RepeatedPoint
from .families import is_rotation_invariant, is_sign_symmetric


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
