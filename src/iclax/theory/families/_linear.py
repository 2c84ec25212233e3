"""Linear tasks f(x) = w·x: Gaussian weights, subspaces, pools, sparse weights."""

from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Float

from ..._arrays import Array, is_concrete, is_isotropic, is_zero, namespace, same_rows
from ..._errors import AssumptionError
from ...covariates import Covariates, Gaussian
from ...tasks import Linear, LinearPool, LinearTasks, LowRank, Mixture, SparseLinear
from ._facts import Facts, facts, register_facts
from ._moments import Moments
from ._tokens import TokenMoments, symmetric_tokens

_MOST_SUPPORTS = 2000  # sparse tasks with a mean: supports that are enumerated


@register_facts(LinearTasks)
class LinearFacts(Facts):
    """Any linear tasks: W = E[w wᵀ] and the mean of w, under any covariates."""

    def kernel(self, xs: Array, zs: Array) -> Float[Array, "m p"]:
        return xs @ self.tasks.weight_second_moment @ zs.T

    def mean(self, xs: Array) -> Float[Array, " m"]:
        return xs @ self.tasks.weight_mean

    def affine_mean(self) -> tuple[float, Array] | None:
        return 0.0, self.tasks.weight_mean

    def weight_moment(self) -> Float[Array, "d d"]:
        return self.tasks.weight_second_moment

    def moments(self, covariates: Covariates) -> Moments:
        """U = ΛWΛ, V = E[x xᵀ W x xᵀ] and P = tr WΛ."""
        second, w = covariates.second_moment, self.tasks.weight_second_moment
        xp = namespace(second, w)
        scatter = covariates.fourth_scatter(w)
        signal = second @ w @ second
        return Moments(signal, signal + scatter, xp.sum(w * second), scatter, 0.0)

    def cross(self, covariates: Covariates, query: Covariates) -> Float[Array, "d d"]:
        return (
            covariates.second_moment
            @ self.tasks.weight_second_moment
            @ query.second_moment
        )

    def mean_power(self, covariates: Covariates) -> Float[Array, ""]:
        mean = self.tasks.weight_mean
        return mean @ covariates.second_moment @ mean


@register_facts(Linear)
class GaussianWeightFacts(LinearFacts):
    """w ~ N(mean, cov)."""

    @property
    def sign_symmetric(self) -> bool | None:
        return is_zero(self.tasks.mean)

    @property
    def rotation_invariant(self) -> bool | None:
        return both(is_zero(self.tasks.mean), is_isotropic(self.tasks.cov))

    def tokens(self, covariates: Covariates) -> TokenMoments:
        r"""Given x, $f(x) \sim N(\mu x, x^T C x)$; given w, all is a form in w."""
        second, mean, cov = covariates.second_moment, self.tasks.mean, self.tasks.cov
        xp = namespace(second, mean, cov)
        w, spread, shift = self.tasks.weight_second_moment, cov @ second, second @ mean
        power, energy = xp.sum(w * second), covariates.fourth_moment(w)
        of_cov = covariates.fourth_moment(cov)
        of_mean = covariates.fourth_moment(xp.outer(mean, mean))
        return TokenMoments(
            covariates,
            mean,
            power * mean + 2 * spread @ mean,
            second @ w @ second,
            energy,
            power,
            power**2 + 2 * xp.sum(spread * spread.T) + 4 * shift @ cov @ shift,
            (of_mean + 3 * of_cov) @ mean,
            mean @ (of_mean + 6 * of_cov) @ mean + 3 * xp.sum(cov * of_cov),
        )


@register_facts(LowRank)
class LowRankFacts(LinearFacts):
    """A mixture of centered Gaussian weights on subspaces."""

    @property
    def sign_symmetric(self) -> bool | None:
        return True

    @property
    def rotation_invariant(self) -> bool | None:
        """Only subspaces that are the whole space turn into themselves."""
        return self.tasks.rank == self.tasks.dim

    def tokens(self, covariates: Covariates) -> TokenMoments:
        return facts(self.tasks.as_mixture()).tokens(covariates)


@register_facts(LinearPool)
class PoolFacts(LinearFacts):
    """w is one of finitely many vectors."""

    @property
    def sign_symmetric(self) -> bool | None:
        vectors, weights = self.tasks.vectors, self.tasks.weights
        if not (is_concrete(vectors) and is_concrete(weights)):
            return None
        return same_rows(vectors, -vectors, weights)

    @property
    def rotation_invariant(self) -> bool | None:
        return self.sign_symmetric if self.tasks.dim == 1 else is_zero(self._used())

    def _used(self) -> Array:
        """The vectors that can be drawn."""
        return self.tasks.vectors * (self.tasks.weights > 0)[:, None]

    def tokens(self, covariates: Covariates) -> TokenMoments:
        r"""Averages over the pool of forms in $w_k$, with $q_k = E(w_k x)^3 x$."""
        own, ws = self.moments(covariates), self.tasks.vectors
        second, shares = covariates.second_moment, self.tasks.weights
        xp = namespace(ws, second)
        powers = xp.sum((ws @ second) * ws, axis=1)
        cubes = _cubes(ws, covariates)
        return TokenMoments(
            covariates,
            shares @ ws,
            (shares * powers) @ ws,
            own.signal,
            own.energy,
            own.power,
            shares @ powers**2,
            shares @ cubes,
            shares @ xp.sum(cubes * ws, axis=1),
        )


@register_facts(SparseLinear)
class SparseFacts(LinearFacts):
    """k random non-zero weights ~ N(m, 1)."""

    @property
    def sign_symmetric(self) -> bool | None:
        return is_zero(self.tasks.mean)

    @property
    def rotation_invariant(self) -> bool | None:
        return both(self.sign_symmetric, self.tasks.nonzeros == self.tasks.dim)

    def tokens(self, covariates: Covariates) -> TokenMoments:
        r"""Without a mean: $E w_i^2 w_j^2$ is $c = k(k-1)/(d(d-1))$, 3k/d for i = j."""
        d, k = self.tasks.dim, self.tasks.nonzeros
        if self.tasks.mean:
            return facts(_supports(self.tasks)).tokens(covariates)
        pair, second = k * (k - 1) / (d * max(d - 1, 1)), covariates.second_moment
        same = 3 * k / d - 3 * pair
        xp, eye = namespace(second), np.eye(d)
        of_eye = covariates.fourth_moment(eye)
        fourths = sum(
            covariates.fourth_moment(np.diag(e))[i, i] for i, e in enumerate(eye)
        )
        return symmetric_tokens(
            self.moments(covariates),
            covariates,
            pair * (xp.trace(second) ** 2 + 2 * xp.sum(second**2))
            + same * xp.sum(xp.diagonal(second) ** 2),
            3 * pair * xp.trace(of_eye) + same * fourths,
        )


def both(first: bool | None, second: bool | None) -> bool | None:
    """Three-valued "and": one False decides, None leaves it open."""
    if first is False or second is False:
        return False
    return None if first is None or second is None else True


def _supports(tasks: SparseLinear) -> Mixture:
    """The same distribution as a mixture over every support."""
    d, k = tasks.dim, tasks.nonzeros
    if comb(d, k) > _MOST_SUPPORTS:
        raise AssumptionError(
            "exact theory of full linear attention for sparse tasks with a mean",
            f"at most {_MOST_SUPPORTS} supports (found {comb(d, k)})",
            "set the mean to 0, or simulate the risk",
        )
    rows = [np.isin(np.arange(d), kept) * 1.0 for kept in combinations(range(d), k)]
    return Mixture([Linear(np.diag(row), tasks.mean * row) for row in rows])


def _cubes(ws: Float[Array, "k d"], covariates: Covariates) -> Float[Array, "k d"]:
    """$E[(w x)^3 x]$ at each row w."""
    xp = namespace(ws, covariates.second_moment)
    if isinstance(covariates, Gaussian):
        moved = ws @ covariates.cov
        return 3 * xp.sum(moved * ws, axis=1)[:, None] * moved
    return xp.stack([covariates.fourth_moment(xp.outer(w, w)) @ w for w in ws])
