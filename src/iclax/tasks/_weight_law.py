"""The law of the weights of linear tasks, where it is a mixture of Gaussians."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array, is_concrete, is_traced
from .._psd import psd_root
from ._base import TaskDistribution, is_plain
from ._linear import Linear
from ._low_rank import LowRank
from ._mixture import Mixture
from ._projected import Projected


@dataclass(frozen=True, eq=False)
class WeightLaw:
    """w = `means[k]` + `factors[k]` ξ with probability `weights[k]`, ξ ~ N(0, I_r)."""

    weights: Float[Array, " k"]
    means: Float[np.ndarray, "k d"]
    factors: Float[Array, "k d r"]

    @property
    def rank(self) -> int:
        """The number r of normals behind one draw of ξ."""
        return self.factors.shape[2]


def weight_law(tasks: TaskDistribution) -> WeightLaw | None:
    """The law of w where f(x) = w·x and w is Gaussian or a mixture; else `None`.

    Covers `Linear`, `LowRank`, their mixtures and their projections; of laws with
    traced arrays only `LowRank` without a floor.
    """
    if is_plain(tasks, Linear) and not is_traced(tasks.mean, tasks.cov):
        return _law([1.0], [tasks.mean], [psd_root(tasks.cov)])
    if is_plain(tasks, LowRank) and is_concrete(tasks.weights):
        return weight_law(tasks.as_mixture())
    if is_plain(tasks, LowRank) and is_concrete(tasks.floor) and not tasks.floor:
        means = np.zeros((tasks.num_components, tasks.dim))
        return WeightLaw(tasks.weights, means, tasks.bases)
    if is_plain(tasks, Mixture) and is_concrete(tasks.weights):
        laws = [weight_law(component) for component in tasks.components]
        found = [law for law in laws if law is not None]
        return _merge(tasks.weights, found) if len(found) == len(laws) else None
    if is_plain(tasks, Projected):
        inner, u = weight_law(tasks.tasks), tasks.basis
        if inner is not None:
            return WeightLaw(inner.weights, inner.means @ u.T, u @ inner.factors)
    return None


def _law(weights: Any, means: Any, factors: list) -> WeightLaw:
    """Components with factors of different widths, padded with zero columns."""
    width = max(factor.shape[1] for factor in factors)
    padded = [np.pad(f, ((0, 0), (0, width - f.shape[1]))) for f in factors]
    return WeightLaw(
        np.asarray(weights, dtype=np.float64),
        np.asarray(means, dtype=np.float64),
        np.stack(padded),
    )


def _merge(weights: Any, laws: list[WeightLaw]) -> WeightLaw:
    shares = [p * law.weights for p, law in zip(weights, laws, strict=True)]
    means = np.concatenate([law.means for law in laws])
    factors = [factor for law in laws for factor in law.factors]
    return _law(np.concatenate(shares), means, factors)
