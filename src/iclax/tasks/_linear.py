"""Linear tasks f(x) = w·x."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import (
    Array,
    as_array,
    is_concrete,
    namespace,
)
from .._errors import SettingError
from .._lazy import jnp, jr
from .._psd import as_covariance, psd_root
from ._base import LinearTasks


@dataclass(frozen=True, eq=False)
class Linear(LinearTasks):
    """f(x) = w·x with w ~ N(`mean`, `cov`); `cov` may be singular (low rank)."""

    cov: Float[Array, "d d"] | Any
    mean: Float[Array, " d"] | Any = None

    def __post_init__(self):
        cov = as_covariance(self.cov, "tasks.cov")
        mean = np.zeros(cov.shape[0]) if self.mean is None else as_array(self.mean)
        if mean.shape != (cov.shape[0],):
            raise SettingError(
                "tasks.mean", f"shape {mean.shape}", f"{cov.shape[0]} numbers"
            )
        if is_concrete(mean) and not np.all(np.isfinite(mean)):
            raise SettingError(
                "tasks.mean", "a value that is NaN or infinite", "finite numbers"
            )
        object.__setattr__(self, "cov", cov)
        object.__setattr__(self, "mean", mean)

    @property
    def dim(self) -> int:
        return self.cov.shape[0]

    @property
    def weight_mean(self) -> Float[Array, " d"]:
        return self.mean

    @property
    def weight_second_moment(self) -> Float[Array, "d d"]:
        """$W = E[w w^T]$: the covariance plus the outer product of the mean."""
        xp = namespace(self.cov, self.mean)
        return self.cov + xp.outer(self.mean, self.mean)

    def sample_weights(self, key: Any) -> Float[Array, " d"]:
        """One draw of w."""
        root = jnp.asarray(psd_root(self.cov))
        return jnp.asarray(self.mean) + root @ jr.normal(key, (root.shape[1],))
