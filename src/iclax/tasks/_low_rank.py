"""Linear tasks on a few low-dimensional subspaces."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array, as_array, is_concrete, namespace
from .._errors import SettingError
from .._lazy import jnp, jr
from ._base import LinearTasks
from ._linear import Linear
from ._mixture import Mixture, normalized_weights

_SAME = 1e-8  # two directions closer than this count as one


@dataclass(frozen=True, eq=False)
class LowRank(LinearTasks):
    r"""f(x) = w·x, $w = U_k \xi + \sqrt{c}\, \zeta$, ξ ~ N(0, I_r), ζ ~ N(0, I_d).

    `bases[k]` is U_k, d × r with orthonormal columns; component k has probability
    `weights[k]` (equal where left out) and c is the isotropic `floor`. `coordinates`
    and `random` build the usual bases.
    """

    bases: Float[Array, "k d r"] | Any
    weights: Float[Array, " k"] | Any = None
    floor: float = 0.0

    def __post_init__(self):
        bases = as_array(self.bases)
        bases = bases[None] if bases.ndim == 2 else bases
        _check_bases(bases)
        if is_concrete(self.floor) and not 0 <= self.floor < np.inf:
            raise SettingError("tasks.floor", f"{self.floor}", "a finite number ≥ 0")
        object.__setattr__(self, "bases", bases)
        object.__setattr__(
            self, "weights", normalized_weights(self.weights, bases.shape[0])
        )

    @classmethod
    def coordinates(
        cls,
        dim: int,
        rank: int,
        components: int = 1,
        shared_columns: int = 0,
        weights: Any = None,
        floor: float = 0.0,
    ) -> "LowRank":
        """Shared columns e_0 … e_{s-1}; component k adds the next r − s unit vectors.

        Raises `SettingError` where s + K(r − s) unit vectors do not fit in `dim`.
        """
        own = _own_columns(dim, rank, components, shared_columns)
        needed = shared_columns + components * own
        if needed > dim:
            raise SettingError(
                "tasks",
                f"{needed} different columns in dimension {dim}",
                f"shared_columns + components · (rank − shared_columns) ≤ {dim}",
            )
        starts = shared_columns + own * np.arange(components)
        shared = np.broadcast_to(
            np.arange(shared_columns), (components, shared_columns)
        )
        index = np.concatenate([shared, starts[:, None] + np.arange(own)], axis=1)
        return cls(np.eye(dim)[index].transpose(0, 2, 1), weights, floor)

    @classmethod
    def random(
        cls,
        dim: int,
        rank: int,
        components: int = 1,
        shared_columns: int = 0,
        seed: int = 0,
        weights: Any = None,
        floor: float = 0.0,
    ) -> "LowRank":
        """Haar-random shared columns, and independent Haar-random own columns
        orthogonal to them.
        """
        own = _own_columns(dim, rank, components, shared_columns)
        rng = np.random.default_rng(seed)
        shared = _orthonormal(rng.standard_normal((dim, shared_columns)))
        draws = rng.standard_normal((components, dim, own))
        bases = [
            np.concatenate([shared, _orthonormal(g - shared @ (shared.T @ g))], 1)
            for g in draws
        ]
        return cls(np.stack(bases), weights, floor)

    @property
    def dim(self) -> int:
        return self.bases.shape[1]

    @property
    def rank(self) -> int:
        """The dimension r of each subspace."""
        return self.bases.shape[2]

    @property
    def num_components(self) -> int:
        """The number K of subspaces."""
        return self.bases.shape[0]

    @property
    def weight_mean(self) -> Float[Array, " d"]:
        return namespace(self.bases).zeros(self.dim)

    @property
    def weight_second_moment(self) -> Float[Array, "d d"]:
        r"""$W = E[w w^T] = \sum_k p_k U_k U_k^T + c I$."""
        xp = namespace(self.bases, self.weights, self.floor)
        projectors = xp.matmul(self.bases, xp.swapaxes(self.bases, 1, 2))
        return xp.tensordot(self.weights, projectors, 1) + self.floor * xp.eye(self.dim)

    @property
    def diversity(self) -> int:
        """The number of non-overlapping columns: dim(sum) − dim(intersection).

        K(r − s) for K ≥ 2 subspaces in general position that share s columns; 0 for one
        subspace, and for copies of one.
        """
        projectors = np.einsum("kdr,ker->de", *(np.asarray(self.bases),) * 2)
        values = np.linalg.eigvalsh(projectors)
        common = np.sum(values > self.num_components - _SAME)
        return int(np.sum(values > _SAME) - common)

    @property
    def effective_rank(self) -> float:
        r"""The participation ratio $(tr\,W)^2 / \|W\|_F^2$: d for W ∝ I, 1 for one
        direction.
        """
        w = np.asarray(self.weight_second_moment)
        return float(np.trace(w) ** 2 / np.sum(w**2))

    def principal_angles(self, first: int = 0, second: int = 1) -> Float[Array, " r"]:
        """The angles between components `first` and `second`, degrees, ascending."""
        bases = np.asarray(self.bases)
        return principal_angles(bases[first], bases[second])

    def as_mixture(self) -> Mixture:
        """The same law as a mixture of `Linear` tasks."""
        xp = namespace(self.bases, self.floor)
        floor = self.floor * xp.eye(self.dim)
        return Mixture([Linear(u @ u.T + floor) for u in self.bases], self.weights)

    def sample_weights(self, key: Any) -> Float[Array, " d"]:
        """One draw of w."""
        which_key, inner_key, floor_key = jr.split(key, 3)
        k = jr.categorical(which_key, jnp.log(jnp.asarray(self.weights)))
        inner = jnp.asarray(self.bases)[k] @ jr.normal(inner_key, (self.rank,))
        return inner + self.floor**0.5 * jr.normal(floor_key, (self.dim,))


def principal_angles(
    first: Float[Array, "d r"], second: Float[Array, "d q"]
) -> Float[Array, " p"]:
    """The p = min(r, q) principal angles of two orthonormal bases, degrees, ascending.

    From cosines (singular values of UᵀV) and sines (of (I − UUᵀ)V) together, so that
    small and right angles are both exact to round-off.
    """
    if first.shape[1] < second.shape[1]:
        first, second = second, first
    cosines = np.linalg.svd(first.T @ second, compute_uv=False)
    outside = second - first @ (first.T @ second)
    sines = np.linalg.svd(outside, compute_uv=False)[::-1]
    return np.degrees(np.arctan2(sines, cosines))


def _own_columns(dim: int, rank: int, components: int, shared: int) -> int:
    for key, value, low, high in (
        ("rank", rank, 1, dim),
        ("components", components, 1, None),
        ("shared_columns", shared, 0, rank),
    ):
        if value < low or (high is not None and value > high):
            allowed = f"a whole number ≥ {low}" + (f" and ≤ {high}" if high else "")
            raise SettingError(f"tasks.{key}", f"{value}", allowed)
    return rank - shared


def _orthonormal(matrix: np.ndarray) -> np.ndarray:
    """Haar-random columns from Gaussian ones: QR with the signs of R's diagonal."""
    q, r = np.linalg.qr(matrix)
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)


def _check_bases(bases: Array) -> None:
    if bases.ndim != 3 or bases.shape[1] < bases.shape[2] or 0 in bases.shape:
        raise SettingError(
            "tasks.basis",
            f"an array of shape {bases.shape}",
            "shape (components, dim, rank) with rank ≤ dim",
        )
    if not is_concrete(bases):
        return
    gram = np.matmul(bases.transpose(0, 2, 1), bases)
    error = np.max(np.abs(gram - np.eye(bases.shape[2])))
    if not error < 1e-8:  # also catches NaN
        raise SettingError(
            "tasks.basis",
            f"columns that are not orthonormal (U^T U differs from I by {error:.3g})",
            "orthonormal columns in each component",
        )
