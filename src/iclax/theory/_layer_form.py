"""When the optimum of the full linear-attention layer is known to be of GD form."""

from functools import singledispatch

import numpy as np

from .._arrays import Array, is_concrete
from ..covariates import Covariates, Gaussian, StudentT
from ..prompts import PromptDistribution, RepeatedPoint
from ..tasks import (
    GaussianProcess,
    Linear,
    LowRank,
    Mixture,
    Polynomial,
    ReluNeuron,
    TaskDistribution,
    TwoLayerRelu,
)


@singledispatch
def is_sign_symmetric(tasks: TaskDistribution) -> bool:
    """Whether f and −f are known to have the same law. False where it is not known."""
    return False


@is_sign_symmetric.register(TwoLayerRelu)
@is_sign_symmetric.register(GaussianProcess)
@is_sign_symmetric.register(Polynomial)
@is_sign_symmetric.register(LowRank)
def _(tasks: TaskDistribution) -> bool:
    return True


@is_sign_symmetric.register
def _(tasks: Linear) -> bool:
    return is_concrete(tasks.mean) and not np.any(tasks.mean)


@is_sign_symmetric.register
def _(tasks: ReluNeuron) -> bool:
    """Slope 1 makes f linear; slope −1 makes it |w·x|."""
    return tasks.random_sign or (is_concrete(tasks.slope) and tasks.slope == 1)


@is_sign_symmetric.register
def _(tasks: Mixture) -> bool:
    return all(is_sign_symmetric(component) for component in tasks.components)


def is_rotation_invariant(tasks: TaskDistribution, covariates: Covariates) -> bool:
    """Whether x and f∘R (every rotation R) are known to keep their laws."""
    if not (isinstance(covariates, Gaussian) and _is_isotropic(covariates.cov)):
        return False
    if isinstance(tasks, Mixture):
        return all(is_rotation_invariant(c, covariates) for c in tasks.components)
    if isinstance(tasks, Linear):
        centered = is_concrete(tasks.mean) and not np.any(tasks.mean)
        return centered and _is_isotropic(tasks.cov)
    if isinstance(tasks, (ReluNeuron, TwoLayerRelu)):
        return _is_isotropic(tasks.cov)
    if isinstance(tasks, GaussianProcess):
        return _is_isotropic(tasks.metric)
    return isinstance(tasks, Polynomial)


def gd_form_reason(prompts: PromptDistribution) -> str | None:
    """Why the full layer's optimum is a GD step on `prompts`, or None if nothing says
    so.

    Either symmetry is enough (derived in docs/theory/one-layer.md). *Sign symmetry*:
    the
    part of ŷ that is even in y is uncorrelated with the target and with the odd part
    x_qᵀ Γ b, so it only adds risk. *Rotation invariance*: the risk is convex in the
    products a ⊗ Q and can be averaged over rotations, and the only invariant features
    left are multiples of Σ y_i x_i; the paper's Theorem 3 assumes both. It asks for a
    rotation invariant query too.
    """
    if is_sign_symmetric(prompts.tasks):
        return "f and −f have the same law"
    around = is_rotation_invariant(prompts.tasks, prompts.covariates)
    if around and _has_round_query(prompts):
        return "x and f are rotation invariant in law"
    return None


def _has_round_query(prompts: PromptDistribution) -> bool:
    """Whether x_q turns with an isotropic context, or is isotropic itself."""
    query = prompts.query_covariates
    if query is None or isinstance(query, RepeatedPoint):
        return True
    return isinstance(query, (Gaussian, StudentT)) and _is_isotropic(query.cov)


def _is_isotropic(matrix: Array) -> bool:
    if not is_concrete(matrix):
        return False
    scale = float(matrix[0, 0])
    rest = np.abs(matrix - scale * np.eye(len(matrix)))
    return bool(np.max(rest) <= 1e-12 * abs(scale))
