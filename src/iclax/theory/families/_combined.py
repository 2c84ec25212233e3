"""Task distributions made of others: mixtures, and functions of a projection of x."""

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from jaxtyping import Float

from ..._arrays import Array, is_concrete, is_isotropic, same_rows
from ..._errors import AssumptionError
from ..._psd import psd_solve
from ...covariates import Covariates, Gaussian
from ...tasks import Linear, LinearTasks, Mixture, Projected, WeightLaw, weight_law
from ._facts import Facts, facts, register_facts
from ._linear import both
from ._moments import Moments
from ._tokens import TokenMoments, average_tokens


@register_facts(Mixture)
class MixtureFacts(Facts):
    """f comes from one of several distributions: what is linear in f's is averaged."""

    @property
    def parts(self) -> list[tuple[Any, Facts]]:
        """The components that can be drawn, with their weights."""
        pairs = zip(self.tasks.weights, self.tasks.components, strict=True)
        return [
            (p, facts(part)) for p, part in pairs if not (is_concrete(p) and p == 0)
        ]

    @property
    def sign_symmetric(self) -> bool | None:
        own = _decided([part.sign_symmetric for _, part in self.parts])
        law = _gaussian_weights(self.tasks) if own is None else None
        return own if law is None else _is_symmetric(law)

    @property
    def rotation_invariant(self) -> bool | None:
        own = _decided([part.rotation_invariant for _, part in self.parts])
        law = _gaussian_weights(self.tasks) if own is None else None
        return own if law is None else _is_round(law)

    def kernel(self, xs: Array, zs: Array) -> Float[Array, "m p"]:
        return sum(p * part.kernel(xs, zs) for p, part in self.parts)

    def mean(self, xs: Array) -> Float[Array, " m"]:
        return sum(p * part.mean(xs) for p, part in self.parts)

    def affine_mean(self) -> tuple[Any, Array] | None:
        means = [(p, part.affine_mean()) for p, part in self.parts]
        known = [(p, mean) for p, mean in means if mean is not None]
        if len(known) < len(means):
            return None
        return sum(p * c for p, (c, _) in known), sum(p * mu for p, (_, mu) in known)

    def weight_moment(self) -> Float[Array, "d d"]:
        return sum(p * part.weight_moment() for p, part in self.parts)

    def moments(self, covariates: Covariates) -> Moments:
        found = [part.moments(covariates).scaled(p) for p, part in self.parts]
        return sum(found[1:], found[0])

    def power(self, covariates: Covariates) -> Float[Array, ""]:
        return sum(p * part.power(covariates) for p, part in self.parts)

    def cross(self, covariates: Covariates, query: Covariates) -> Float[Array, "d d"]:
        return sum(p * part.cross(covariates, query) for p, part in self.parts)

    def tokens(self, covariates: Covariates) -> TokenMoments:
        found = [part.tokens(covariates) for _, part in self.parts]
        return average_tokens(found, [p for p, _ in self.parts])

    def closed_mean_power(self, covariates: Covariates) -> Float[Array, ""]:
        """Affine mean functions, or one that is not among others that vanish."""
        moving = [(p, part) for p, part in self.parts if not part.sign_symmetric]
        if self.affine_mean() is None and len(moving) == 1:
            share, part = moving[0]
            return share**2 * part.mean_power(covariates)
        return super().closed_mean_power(covariates)


@register_facts(Projected)
class ProjectedFacts(Facts):
    """f(x) = g(Uᵀx): what is known of g, in the coordinates z = Uᵀx."""

    @property
    def inner(self) -> Facts:
        """What is known of g."""
        return facts(self.tasks.tasks)

    @property
    def linear(self) -> Facts | None:
        """The same tasks as linear ones, where g is linear."""
        if not isinstance(self.tasks.tasks, LinearTasks):
            return None
        return facts(_ProjectedWeights(self.tasks.tasks, self.tasks.basis))

    @property
    def sign_symmetric(self) -> bool | None:
        return self.inner.sign_symmetric

    @property
    def rotation_invariant(self) -> bool | None:
        law = _gaussian_weights(self.tasks)
        return None if law is None else _is_round(law)

    def kernel(self, xs: Array, zs: Array) -> Float[Array, "m p"]:
        return self.inner.kernel(xs @ self.tasks.basis, zs @ self.tasks.basis)

    def mean(self, xs: Array) -> Float[Array, " m"]:
        return self.inner.mean(xs @ self.tasks.basis)

    def affine_mean(self) -> tuple[Any, Array] | None:
        found = self.inner.affine_mean()
        return None if found is None else (found[0], self.tasks.basis @ found[1])

    def weight_moment(self) -> Float[Array, "d d"]:
        basis = self.tasks.basis
        return basis @ self.inner.weight_moment() @ basis.T

    def moments(self, covariates: Covariates) -> Moments:
        linear = self.linear
        return linear.moments(covariates) if linear else super().moments(covariates)

    def closed_moments(self, covariates: Covariates) -> Moments:
        r"""With z = Uᵀx and the regression x = M z + rest, $M = \Lambda U (U^T \Lambda
        U)^{+}$: $U = M U_g M^T$ and $V = M V_g M^T + P_g (\Lambda - M U^T \Lambda)$.

        The rest is independent of z because x is Gaussian.
        """
        cov = self.gaussian(covariates, "exact theory")
        inner = _inner_covariates(self.tasks, cov)
        own = self.inner.moments(inner)
        lift = psd_solve(inner.cov, (cov @ self.tasks.basis).T).T
        rest = cov - lift @ self.tasks.basis.T @ cov
        return Moments(
            lift @ own.signal @ lift.T,
            lift @ own.energy @ lift.T + own.power * (rest + rest.T) / 2,
            own.power,
        )

    def cross(self, covariates: Covariates, query: Covariates) -> Float[Array, "d d"]:
        linear = self.linear
        return (linear or super()).cross(covariates, query)

    def tokens(self, covariates: Covariates) -> TokenMoments:
        """Linear inner tasks are linear in x too; others have no closed form here."""
        law = weight_law(self.tasks)
        if law is None:
            raise AssumptionError(
                "exact theory of full linear attention for projected tasks",
                f"linear tasks inside (found {type(self.tasks.tasks).__name__})",
                "take the GD form (preconditioner_risk), or simulate the risk",
            )
        parts = [
            facts(Linear(factor @ factor.T, mean)).tokens(covariates)
            for mean, factor in zip(law.means, law.factors, strict=True)
        ]
        return average_tokens(parts, law.weights)

    def closed_mean_power(self, covariates: Covariates) -> Float[Array, ""]:
        if self.affine_mean() is not None:
            return super().closed_mean_power(covariates)
        cov = self.gaussian(covariates, "the exact no-context loss")
        return self.inner.mean_power(_inner_covariates(self.tasks, cov))


@dataclass(frozen=True, eq=False)
class _ProjectedWeights(LinearTasks):
    """Linear tasks whose weights are U w, w those of `tasks`."""

    tasks: LinearTasks
    basis: Float[Array, "d r"]

    @property
    def weight_mean(self) -> Float[Array, " d"]:
        return self.basis @ self.tasks.weight_mean

    @property
    def weight_second_moment(self) -> Float[Array, "d d"]:
        return self.basis @ self.tasks.weight_second_moment @ self.basis.T

    def sample_weights(self, key: Any) -> Float[Array, " d"]:
        return self.basis @ self.tasks.sample_weights(key)


def _inner_covariates(tasks: Projected, cov: Float[Array, "d d"]) -> Gaussian:
    """The distribution N(0, UᵀΛU) of Uᵀx where x ~ N(0, Λ)."""
    return Gaussian(tasks.basis.T @ cov @ tasks.basis)


def _decided(known: list[bool | None]) -> bool | None:
    """A symmetry of a mixture from those of its parts.

    Symmetric parts change nothing, so that one other part decides; several others may
    be each other's mirror images.
    """
    others = [value for value in known if value is not True]
    return True if not others else others[0] if len(others) == 1 else None


def _gaussian_weights(tasks: Any) -> WeightLaw | None:
    """The mixture of Gaussians that w is drawn from, where it is known."""
    law = weight_law(tasks)
    known = law and all(map(is_concrete, (law.weights, law.means, law.factors)))
    return law if known else None


def _is_symmetric(law: WeightLaw) -> bool:
    """A finite mixture of Gaussians is that of −w iff its components are."""
    covs = (law.factors @ law.factors.transpose(0, 2, 1)).reshape(len(law.means), -1)
    first, second = (np.column_stack([s * law.means, covs]) for s in (1, -1))
    return same_rows(first, second, law.weights)


def _is_round(law: WeightLaw) -> bool:
    """Finitely many Gaussians are rotation invariant iff each of them is."""
    if law.means.shape[1] == 1:
        return _is_symmetric(law)
    covs = [factor @ factor.T for factor in law.factors[law.weights > 0]]
    centered = not np.any(law.means[law.weights > 0])
    return bool(reduce(both, [is_isotropic(cov) for cov in covs], centered))
