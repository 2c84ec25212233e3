"""Exact results: float64 with NumPy arrays, differentiable with JAX arrays."""

from ._adapters import (
    adapter_rank as adapter_rank,
    adapter_risks as adapter_risks,
    adapter_update as adapter_update,
)
from ._attention_dynamics import (
    AttentionDynamics as AttentionDynamics,
    attention_descent as attention_descent,
    attention_flow as attention_flow,
)
from ._best_descent import best_gradient_descent as best_gradient_descent
from ._certificate import Certificate as Certificate, certify as certify
from ._descent import DescentResult as DescentResult, descend as descend
from ._design import (
    WeightDesign as WeightDesign,
    design_weights as design_weights,
    reweighted as reweighted,
)
from ._distance import (
    Distance as Distance,
    preconditioner_distance as preconditioner_distance,
)
from ._flow import FlowResult as FlowResult, LossCurve as LossCurve, flow as flow
from ._flow_traced import flow_losses as flow_losses, flow_time as flow_time
from ._full_attention import (
    attention_curvature as attention_curvature,
    attention_gradient as attention_gradient,
    attention_risk as attention_risk,
    gradient_from_attention_moments as gradient_from_attention_moments,
    risk_from_attention_moments as risk_from_attention_moments,
)
from ._full_attention_heads import (
    HeadsOptimum as HeadsOptimum,
    multi_head_optimum as multi_head_optimum,
)
from ._full_attention_moments import (
    AttentionMoments as AttentionMoments,
    attention_moments as attention_moments,
)
from ._full_attention_optimum import (
    AttentionOptimum as AttentionOptimum,
    optimal_attention as optimal_attention,
)
from ._full_attention_weights import (
    Attention as Attention,
    effective_preconditioner as effective_preconditioner,
    gd_attention as gd_attention,
)
from ._layer_form import (
    LayerOptimum as LayerOptimum,
    gd_form_reason as gd_form_reason,
    layer_optimum as layer_optimum,
)
from ._one_layer import (
    PlainStep as PlainStep,
    PromptMoments as PromptMoments,
    best_plain_step as best_plain_step,
    optimal_preconditioner as optimal_preconditioner,
    optimal_risk as optimal_risk,
    optimum_from_moments as optimum_from_moments,
    preconditioner_curvature as preconditioner_curvature,
    preconditioner_curvatures as preconditioner_curvatures,
    preconditioner_gradient as preconditioner_gradient,
    preconditioner_risk as preconditioner_risk,
    prompt_moments as prompt_moments,
    risk_from_moments as risk_from_moments,
    zero_risk as zero_risk,
)
from ._parametrizations import (
    LinearGamma as LinearGamma,
    Merged as Merged,
    Parametrization as Parametrization,
    Separate as Separate,
    make_parametrization as make_parametrization,
)
from ._plateau_table import (
    PlateauDirection as PlateauDirection,
    PlateauStudy as PlateauStudy,
    plateau_directions as plateau_directions,
)
from ._pretraining import (
    PretrainingLoads as PretrainingLoads,
    isotropic_pretrained_risk as isotropic_pretrained_risk,
    isotropic_seen_task_risk as isotropic_seen_task_risk,
)
from ._pretraining_shift import (
    pretrained_risk as pretrained_risk,
    seen_task_risk as seen_task_risk,
)
from ._rectangular import rectangular_risk as rectangular_risk
from ._reference_risks import (
    bayes_risk as bayes_risk,
    gradient_descent_risk as gradient_descent_risk,
    ridge_risk as ridge_risk,
)
from ._risk import risk as risk, risks_at_lengths as risks_at_lengths
from ._saddles import Saddles as Saddles, saddles as saddles
from ._subspaces import (
    angle_risks as angle_risks,
    context_length_risks as context_length_risks,
    off_span_risk as off_span_risk,
    orthogonal_basis as orthogonal_basis,
    single_subspace_risk as single_subspace_risk,
    union_risk as union_risk,
)
from ._task_risk import TaskRisk as TaskRisk, task_risk as task_risk
from ._time_courses import (
    flat_half_drop_time as flat_half_drop_time,
    head_time as head_time,
    linear_rates as linear_rates,
    logistic_gain as logistic_gain,
)
from ._wishart import spectral_mean as spectral_mean
from .families import (
    Facts as Facts,
    Moments as Moments,
    QueryMoments as QueryMoments,
    TokenMoments as TokenMoments,
    facts as facts,
    is_rotation_invariant as is_rotation_invariant,
    is_sign_symmetric as is_sign_symmetric,
    label_frequency_loss as label_frequency_loss,
    moments as moments,
    no_context_loss as no_context_loss,
    no_context_risk as no_context_risk,
    query_moments as query_moments,
    register_facts as register_facts,
    task_kernel as task_kernel,
    token_moments as token_moments,
)
