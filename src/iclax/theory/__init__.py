"""Exact results: float64 with NumPy arrays, differentiable with JAX arrays."""

from . import _family_moments as _family_moments
from ._layer_form import (
    gd_form_reason as gd_form_reason,
    is_rotation_invariant as is_rotation_invariant,
    is_sign_symmetric as is_sign_symmetric,
)
from ._moments import Moments as Moments, moments as moments
from ._no_context import (
    label_frequency_loss as label_frequency_loss,
    no_context_loss as no_context_loss,
)
from ._one_layer import (
    PlainStep as PlainStep,
    PromptMoments as PromptMoments,
    best_plain_step as best_plain_step,
    optimal_preconditioner as optimal_preconditioner,
    optimal_risk as optimal_risk,
    preconditioner_risk as preconditioner_risk,
    prompt_moments as prompt_moments,
    risk_from_moments as risk_from_moments,
    zero_risk as zero_risk,
)
