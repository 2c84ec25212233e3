"""Shapes of what a user hands to the theory."""

from typing import Any

from jaxtyping import Float

from .._arrays import Array, as_array, namespace
from .._errors import SettingError
from ..covariates import Covariates
from ..tasks import TaskDistribution


def as_preconditioner(
    gamma: Any, dim: int | None = None, name: str = "preconditioner"
) -> Float[Array, "d d"]:
    """Γ as a d × d matrix; d numbers are its diagonal, as in predictors.GradientStep.

    Raises `SettingError` naming `name` for every other shape.
    """
    gamma = as_array(gamma)
    size = gamma.shape[-1] if dim is None and gamma.ndim else dim
    if size is not None and gamma.shape == (size, size):
        return gamma
    if size is not None and gamma.shape == (size,):
        return namespace(gamma).eye(size) * gamma[None, :]
    d = "d" if dim is None else dim
    allowed = f"a matrix of shape ({d}, {d}), or the {d} numbers of its diagonal"
    raise SettingError(name, f"shape {gamma.shape}", allowed)


def check_dimensions(
    tasks: TaskDistribution, covariates: Covariates, name: str = "covariates"
) -> None:
    """Raises `SettingError` unless `tasks` take points of the law's dimension."""
    if tasks.dim != covariates.dim:
        raise SettingError(
            "tasks",
            f"dimension {tasks.dim}",
            f"dimension {covariates.dim} ({name})",
        )
