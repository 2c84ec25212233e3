"""Random polynomials and quadratic forms."""

from math import prod

import numpy as np
from jaxtyping import Float

from ..._arrays import Array, is_zero, namespace
from ...covariates import Covariates
from ...tasks import Polynomial, Quadratic
from ._facts import Facts, facts, register_facts
from ._linear import both
from ._moments import Moments, quadratic_form_moments
from ._process import ProcessFacts


@register_facts(Polynomial)
class PolynomialFacts(ProcessFacts):
    r"""A Gaussian process with the kernel $\sum_p c_p (x^T x')^p$."""

    @property
    def rotation_invariant(self) -> bool | None:
        return True

    def kernel(self, xs: Array, zs: Array) -> Float[Array, "m p"]:
        inner = xs @ zs.T
        return sum(c * inner**p for p, c in self.tasks.coefficients.items())

    def closed_moments(self, covariates: Covariates) -> Moments:
        cov = self.gaussian(covariates, "exact theory")
        pairs = self.tasks.coefficients.items()
        parts = [_monomial_moments(p, cov).scaled(c) for p, c in pairs]
        return sum(parts[1:], parts[0])

    def closed_cross(
        self, covariates: Covariates, query: Covariates
    ) -> Float[Array, "d d"]:
        r"""Odd p: $p!!\, E[(x^T \Lambda_q x)^{(p-1)/2} x x^T] \Lambda_q$ (Stein)."""
        first, second = (
            self.gaussian(c, "exact theory of two distributions")
            for c in (covariates, query)
        )
        cross = 0 * first
        for degree, coefficient in self.tasks.coefficients.items():
            if degree % 2:
                inner = quadratic_form_moments(second, first, (degree - 1) // 2)[1]
                factor = coefficient * prod(range(degree, 0, -2))
                cross = cross + factor * inner @ second
        return cross

    def closed_squares(self, covariates: Covariates) -> tuple[Array, Array]:
        r"""$E (x^T x')^{p} = (p-1)!!\, E (x^T \Lambda x)^{p/2}$ for even p (Stein)."""
        cov = self.gaussian(covariates, "exact theory of full linear attention")
        xp = namespace(cov)
        eye, square, diagonal = xp.eye(self.tasks.dim), xp.zeros(()), xp.zeros(())
        for p, first in self.tasks.coefficients.items():
            for q, second in self.tasks.coefficients.items():
                product = first * second
                total = quadratic_form_moments(eye, cov, p + q)[0]
                diagonal = diagonal + product * total
                if (p + q) % 2 == 0:
                    half = (p + q) // 2
                    inner = quadratic_form_moments(cov, cov, half)[0]
                    square = square + product * _odd_factorial(half) * inner
        return square, diagonal


@register_facts(Quadratic)
class QuadraticFacts(Facts):
    r"""$f(x) = x^T W x$ with $W_{ij} \sim N(m, 1)/\sqrt d$: even in x, so U = 0."""

    @property
    def sign_symmetric(self) -> bool | None:
        return is_zero(self.tasks.mean)

    @property
    def rotation_invariant(self) -> bool | None:
        """The mean m (1·x)²/√d singles out a direction, save in one dimension."""
        return both(True, self.sign_symmetric or self.tasks.dim == 1)

    def kernel(self, xs: Array, zs: Array) -> Float[Array, "m p"]:
        r"""$((x^T x')^2 + m^2 (1^T x)^2 (1^T x')^2)/d$."""
        xp = namespace(xs, zs)
        sums = xp.outer(xp.sum(xs, axis=1) ** 2, xp.sum(zs, axis=1) ** 2)
        return ((xs @ zs.T) ** 2 + self.tasks.mean**2 * sums) / self.tasks.dim

    def mean(self, xs: Array) -> Float[Array, " m"]:
        squares = namespace(xs).sum(xs, axis=1) ** 2
        return self.tasks.mean / self.tasks.dim**0.5 * squares

    def closed_moments(self, covariates: Covariates) -> Moments:
        cov = self.gaussian(covariates, "exact theory")
        ones = namespace(cov).ones((self.tasks.dim, self.tasks.dim))
        power, energy = quadratic_form_moments(ones, cov, 2)
        shift = Moments(0 * cov, energy, power)
        centered = facts(self._centered()).moments(covariates)
        return centered + shift.scaled(self.tasks.mean**2 / self.tasks.dim)

    def closed_mean_power(self, covariates: Covariates) -> Float[Array, ""]:
        cov = self.gaussian(covariates, "the exact no-context loss")
        ones = namespace(cov).ones((self.tasks.dim, self.tasks.dim))
        square = quadratic_form_moments(ones, cov, 2)[0]
        return self.tasks.mean**2 / self.tasks.dim * square

    def _centered(self) -> Polynomial:
        return Polynomial(self.tasks.dim, {2: 1 / self.tasks.dim})


def _monomial_moments(degree: int, cov: Float[Array, "d d"]) -> Moments:
    r"""Kernel $(x^T x')^p$ under x ~ N(0, Λ): V and P through $S_k = E[(x^T x)^k x
    x^T]$.

    For odd p, $U = p!! \Lambda E[(x^T \Lambda x)^{(p-1)/2} x x^T]$; it is 0 for even p.
    """
    xp = namespace(cov)
    power, energy = quadratic_form_moments(xp.eye(cov.shape[0]), cov, degree)
    if degree % 2 == 0:
        return Moments(0 * cov, energy, power, energy, power)
    double_factorial = prod(range(degree, 0, -2))
    _, inner = quadratic_form_moments(cov, cov, (degree - 1) // 2)
    signal = double_factorial * cov @ inner
    return Moments(signal, energy, power, None, 0.0 if degree == 1 else None)


def _odd_factorial(half: int) -> int:
    """$(2k - 1)!!$ for k = `half`."""
    return int(np.prod(range(1, 2 * half, 2), dtype=object))
