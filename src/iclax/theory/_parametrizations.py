"""Ways to write the preconditioner Γ as a product of weights, for the dynamics."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array, namespace
from .._errors import SettingError

Weights = tuple[Array, ...]


class Parametrization(ABC):
    r"""A map from weights θ to Γ. Gradient flow is $\dot\theta = -\frac12 \partial R$.

    With the residual $S = -\frac12 \partial R / \partial \Gamma$, the velocity of every
    weight is the derivative of ⟨S, Γ(θ)⟩. Γ is d × d, or any shape p × q that holds the
    numbers of a flow in fewer coordinates.
    """

    @abstractmethod
    def gamma(self, weights: Weights) -> Float[Array, "p q"]:
        """Γ (1/n convention)."""

    @abstractmethod
    def velocity(self, weights: Weights, residual: Float[Array, "p q"]) -> Weights:
        """θ̇ for the residual S."""

    @abstractmethod
    def start(self, dim: int, init: float, kind: str, seed: int) -> Weights:
        """The starting weights: "identity" or "random" (see `flow`)."""

    @abstractmethod
    def default_start(self, dim: int) -> str:
        """The kind of start taken where none is asked for."""

    @abstractmethod
    def describe_start(self, kind: str) -> str:
        """The start in words, with {init} and {seed} to fill in."""

    @abstractmethod
    def rotated(
        self, weights: Weights, left: Float[Array, "d d"], right: Float[Array, "d d"]
    ) -> Weights:
        """Weights of `left`ᵀ Γ `right`; left and right are orthogonal."""

    @abstractmethod
    def max_rank(self, dim: int) -> int:
        """The largest rank of Γ that the weights can express."""


@dataclass(frozen=True)
class LinearGamma(Parametrization):
    """Γ itself is the weight; it starts at 0 whatever `init` is."""

    def gamma(self, weights: Weights) -> Float[Array, "p q"]:
        return weights[0]

    def velocity(self, weights: Weights, residual: Float[Array, "p q"]) -> Weights:
        return (residual,)

    def start(self, dim: int, init: float, kind: str, seed: int) -> Weights:
        return (np.zeros((dim, dim)),)

    def default_start(self, dim: int) -> str:
        return "identity"

    def describe_start(self, kind: str) -> str:
        return "Γ = 0"

    def rotated(
        self, weights: Weights, left: Float[Array, "d d"], right: Float[Array, "d d"]
    ) -> Weights:
        return (left.T @ weights[0] @ right,)

    def max_rank(self, dim: int) -> int:
        return dim


@dataclass(frozen=True)
class Merged(Parametrization):
    r"""$\Gamma = \sum_h v_h A_h^T$: a scalar value and one key-query matrix a head.

    Weights: values v, shape (h,), and A_hᵀ, shape (h, d, d).
    """

    heads: int = 1

    def gamma(self, weights: Weights) -> Float[Array, "p q"]:
        values, maps = weights
        return namespace(values, maps).tensordot(values, maps, 1)

    def velocity(self, weights: Weights, residual: Float[Array, "p q"]) -> Weights:
        values, maps = weights
        xp = namespace(maps, residual)
        drive = xp.sum(residual[None] * maps, axis=(1, 2))
        return drive, values[:, None, None] * residual[None]

    def start(self, dim: int, init: float, kind: str, seed: int) -> Weights:
        values = np.full(self.heads, float(init))
        shape = (self.heads, dim, dim)
        if kind == "identity":
            return values, np.broadcast_to(np.eye(dim), shape) * (init / dim**0.5)
        return values, _random_blocks(np.random.default_rng(seed), shape, init)

    def default_start(self, dim: int) -> str:
        return "identity" if self.heads == 1 else "random"

    def describe_start(self, kind: str) -> str:
        if kind == "identity":
            return "v = {init}, A = {init} I / sqrt(d) in every head"
        return "v = {init}, A Gaussian with |A|_F = {init} (seed {seed})"

    def rotated(
        self, weights: Weights, left: Float[Array, "d d"], right: Float[Array, "d d"]
    ) -> Weights:
        return weights[0], left.T @ weights[1] @ right

    def max_rank(self, dim: int) -> int:
        return dim


@dataclass(frozen=True)
class Separate(Parametrization):
    r"""$\Gamma = \sum_h v_h Q_h K_h^T$: keys and queries of rank R a head.

    ŷ = Σ_h v_h bᵀ K_h Q_hᵀ x_q. Weights: values v, shape (h,), queries Q and keys K,
    shape (h, d, r) each.
    """

    heads: int = 1
    rank: int = 1

    def gamma(self, weights: Weights) -> Float[Array, "p q"]:
        values, queries, keys = weights
        xp = namespace(values, queries, keys)
        scaled = queries * values[:, None, None]
        return xp.tensordot(scaled, keys, ((0, 2), (0, 2)))

    def velocity(self, weights: Weights, residual: Float[Array, "p q"]) -> Weights:
        values, queries, keys = weights
        xp = namespace(keys, residual)
        from_keys, from_queries = residual @ keys, residual.T @ queries
        scale = values[:, None, None]
        drive = xp.sum(from_keys * queries, axis=(1, 2))
        return drive, scale * from_keys, scale * from_queries

    def start(self, dim: int, init: float, kind: str, seed: int) -> Weights:
        values = np.full(self.heads, float(init))
        shape = (self.heads, dim, self.rank)
        if kind == "identity":
            block = np.broadcast_to(np.eye(dim, self.rank), shape)
            block = block * (init / self.rank**0.5)
            return values, block, block
        rng = np.random.default_rng(seed)
        queries = _random_blocks(rng, shape, init)
        return values, queries, _random_blocks(rng, shape, init)

    def default_start(self, dim: int) -> str:
        return "identity" if self.heads == 1 and self.rank == dim else "random"

    def describe_start(self, kind: str) -> str:
        if kind == "identity":
            return "v = {init}, Q = K = {init} I / sqrt(R) in every head"
        return "v = {init}, Q and K Gaussian, |Q|_F = |K|_F = {init} (seed {seed})"

    def rotated(
        self, weights: Weights, left: Float[Array, "d d"], right: Float[Array, "d d"]
    ) -> Weights:
        values, queries, keys = weights
        queries, keys = left.T @ queries, right.T @ keys
        if queries.shape[2] == len(left):  # keeps an identity start an identity
            queries, keys = queries @ left, keys @ left
        return values, queries, keys

    def max_rank(self, dim: int) -> int:
        return min(dim, self.heads * self.rank)


def make_parametrization(
    name: str | Parametrization, dim: int, heads: int, rank: int | None
) -> Parametrization:
    """The parametrization called "linear", "merged" or "separate"."""
    if isinstance(name, Parametrization):
        return name
    if heads < 1:
        raise SettingError("heads", f"{heads}", "a whole number of at least 1")
    if rank is not None and not 1 <= rank <= dim:
        raise SettingError("rank", f"{rank}", f"a whole number from 1 to {dim}")
    found: dict[str, Any] = {
        "linear": LinearGamma,
        "merged": lambda: Merged(heads),
        "separate": lambda: Separate(heads, rank or dim),
    }
    if name not in found:
        raise SettingError("parametrization", repr(name), ", ".join(found))
    return found[name]()


def _random_blocks(
    rng: np.random.Generator, shape: tuple[int, int, int], init: float
) -> Float[Array, "h p q"]:
    """Gaussian matrices scaled to Frobenius norm `init` each: a balanced start."""
    blocks = rng.standard_normal(shape)
    return blocks * (init / np.linalg.norm(blocks, axis=(1, 2), keepdims=True))
