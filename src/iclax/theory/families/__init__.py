"""What is known of each task family: one file a family, one registry for all."""

from . import (
    _boolean as _boolean,
    _combined as _combined,
    _linear as _linear,
    _neuron as _neuron,
    _polynomial as _polynomial,
    _process as _process,
    _retrieval as _retrieval,
)
from ._boolean import label_frequency_loss as label_frequency_loss
from ._facts import (
    Facts as Facts,
    check_covariates as check_covariates,
    facts as facts,
    register_facts as register_facts,
    registered_families as registered_families,
)
from ._linear import LinearFacts as LinearFacts
from ._moments import Moments as Moments
from ._questions import (
    QueryMoments as QueryMoments,
    cross_moments as cross_moments,
    is_rotation_invariant as is_rotation_invariant,
    is_sign_symmetric as is_sign_symmetric,
    moments as moments,
    no_context_loss as no_context_loss,
    no_context_risk as no_context_risk,
    query_law as query_law,
    query_moments as query_moments,
    task_kernel as task_kernel,
    token_moments as token_moments,
)
from ._tokens import TokenMoments as TokenMoments
