"""Covariates that are rows of a user's own data matrix."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array, is_concrete, namespace, same_rows
from .._errors import SettingError
from .._lazy import jnp, jr
from .._psd import psd_root
from ._base import Covariates

_BLOCK = 1024  # rows at a time, so that memory stays bounded


@dataclass(frozen=True, eq=False)
class Data(Covariates):
    """x is a row of `rows`, drawn with replacement: every moment is a finite average.

    `source` says where the rows came from; it is only printed.
    """

    rows: Float[Array, "m d"] | Any
    source: str = "array"

    def __post_init__(self):
        rows = np.asarray(self.rows, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[0] == 0:
            raise SettingError(
                "covariates.rows", f"shape {rows.shape}", "a matrix, one row a point"
            )
        if not np.all(np.isfinite(rows)):
            where = np.argwhere(~np.isfinite(rows))[0]
            raise SettingError(
                "covariates.path",
                f"NaN or infinity in row {where[0] + 1}, column {where[1] + 1}",
                "finite numbers; remove or impute the row first",
            )
        object.__setattr__(self, "rows", rows)

    @property
    def dim(self) -> int:
        return self.rows.shape[1]

    @property
    def symmetric(self) -> bool | None:
        return same_rows(self.rows, -self.rows)

    @property
    def rotation_invariant(self) -> bool | None:
        """Finitely many points do not fill a sphere."""
        return self.symmetric if self.dim == 1 else not np.any(self.rows)

    @property
    def second_moment(self) -> Float[Array, "d d"]:
        return self.rows.T @ self.rows / len(self.rows)

    def fourth_moment(self, a: Float[Array, "d d"]) -> Float[Array, "d d"]:
        xp = namespace(a)
        forms = xp.sum((self.rows @ a) * self.rows, axis=1)
        return (self.rows.T * forms[None, :]) @ self.rows / len(self.rows)

    def fourth_scatter(self, a: Float[Array, "d d"]) -> Float[Array, "d d"]:
        """The mean of (x xᵀ − Λ) A (x xᵀ − Λ), centered before it is squared."""
        if not is_concrete(a):
            return super().fourth_scatter(a)
        root, second, total = psd_root(a), self.second_moment, 0.0
        for start in range(0, len(self.rows), _BLOCK):
            x = self.rows[start : start + _BLOCK]
            gap = x[:, :, None] * (x @ root)[:, None, :] - (second @ root)[None]
            flat = gap.transpose(1, 0, 2).reshape(self.dim, -1)
            total = total + flat @ flat.T
        return total / len(self.rows)

    def sixth_moment(
        self, a: Float[Array, "d d"], b: Float[Array, "d d"]
    ) -> Float[Array, "d d"]:
        xp = namespace(a, b)
        first = xp.sum((self.rows @ a) * self.rows, axis=1)
        second = xp.sum((self.rows @ b) * self.rows, axis=1)
        weights = (first * second)[None, :]
        return (self.rows.T * weights) @ self.rows / len(self.rows)

    def sample(self, key: Any, num: int) -> Float[Array, "m d"]:
        rows = jnp.asarray(self.rows)
        return rows[jr.randint(key, (num,), 0, len(rows))]
