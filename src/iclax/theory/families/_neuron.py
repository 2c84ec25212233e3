"""ReLU neurons and two-layer ReLU networks with Gaussian weights."""

from math import pi

import numpy as np
from jaxtyping import Float

from ..._arrays import Array, is_concrete, is_isotropic, is_zero, namespace
from ..._errors import AssumptionError
from ...covariates import Covariates
from ...tasks import ReluNeuron, TwoLayerRelu
from ._facts import Facts, register_facts
from ._moments import Moments
from ._tokens import TokenMoments, symmetric_tokens


class _NeuronFacts(Facts):
    """Weights w ~ N(0, C) behind a leaky ReLU φ(t) = ((1 + a) t + (1 − a) |t|)/2.

    Under covariates that are symmetric only the odd part of φ correlates with x.
    """

    slope: float | Array = 0.0
    scale: float | Array = 1.0

    @property
    def rotation_invariant(self) -> bool | None:
        return is_isotropic(self.tasks.cov)

    def kernel(self, xs: Array, zs: Array) -> Float[Array, "m p"]:
        r"""The linear kernel and that of |w·x| add up, $E|s||s'| = \frac2\pi
        (\sqrt{v v' - c^2} + c \arcsin \frac{c}{\sqrt{v v'}})$ (Cho and Saul, 2009).
        """
        cov, a = self.tasks.cov, self.slope
        xp = namespace(xs, zs, cov)
        cross = xs @ cov @ zs.T
        first = xp.sum((xs @ cov) * xs, axis=1)
        second = xp.sum((zs @ cov) * zs, axis=1)
        size = xp.sqrt(first[:, None] * second[None, :])
        cosine = xp.clip(cross / xp.where(size > 0, size, 1.0), -1.0, 1.0)
        flat = xp.sqrt(1 - cosine**2) + cosine * xp.arcsin(cosine)
        even = 2 / np.pi * size * flat
        return self.scale**2 * ((1 + a) ** 2 / 4 * cross + (1 - a) ** 2 / 4 * even)

    def closed_moments(self, covariates: Covariates) -> Moments:
        r"""$U = \frac{(1+a)^2}{4} \Lambda C \Lambda$; given x, w·x is symmetric, so
        $V = \frac{1+a^2}{2} E[x x^T C x x^T]$ and $P = \frac{1+a^2}{2} tr(C \Lambda)$.
        """
        self.check_symmetric(covariates)
        c, second = self.tasks.cov, covariates.second_moment
        xp = namespace(c, second)
        odd, even = self.odd, self.scale**2 * (1 + self.slope**2) / 2
        flat = self.scale**2 * (1 - self.slope) ** 2 / 4  # the share of |w·x|
        product, power = second @ c @ second, xp.sum(c * second)
        return Moments(
            odd * product,
            even * covariates.fourth_moment(c),
            even * power,
            even * covariates.fourth_scatter(c) + flat * product,
            flat * power,
        )

    def closed_cross(
        self, covariates: Covariates, query: Covariates
    ) -> Float[Array, "d d"]:
        r"""$u_f = \frac{1+a}{2} \Lambda w$ under both: the odd part of φ counts."""
        for law in (covariates, query):
            self.check_symmetric(law)
        return (
            self.odd * covariates.second_moment @ self.tasks.cov @ query.second_moment
        )

    @property
    def odd(self) -> Array | float:
        """The share of φ's odd part in the kernel."""
        return self.scale**2 * (1 + self.slope) ** 2 / 4


@register_facts(ReluNeuron)
class NeuronFacts(_NeuronFacts):
    """One neuron, with a fair random sign or without."""

    @property
    def slope(self) -> Array | float:
        return self.tasks.slope

    @property
    def sign_symmetric(self) -> bool | None:
        """Slope 1 makes f linear; any other leaves E f(x) = (1 − a)|…| ≠ 0."""
        if self.tasks.random_sign:
            return True
        nothing = is_zero(self.tasks.cov)
        if not is_concrete(self.slope):
            return nothing or None
        return True if self.slope == 1 else nothing

    def mean(self, xs: Array) -> Float[Array, " m"]:
        r"""$(1 - a) \sqrt{x^T C x / 2\pi}$; 0 under a random sign."""
        xp = namespace(xs, self.tasks.cov)
        sizes = xp.sqrt(xp.sum((xs @ self.tasks.cov) * xs, axis=1) / (2 * pi))
        return 0 * sizes if self.tasks.random_sign else (1 - self.slope) * sizes

    def mean_power(self, covariates: Covariates) -> Float[Array, ""]:
        c, second = self.tasks.cov, covariates.second_moment
        share = 0.0 if self.tasks.random_sign else (1 - self.slope) ** 2 / (2 * pi)
        return share * namespace(c, second).sum(c * second)

    def tokens(self, covariates: Covariates) -> TokenMoments:
        r"""A symmetric w kills the odd moments: $u_f = \frac{1+a}{2} \Lambda w$ and
        $p_f = \frac{1+a^2}{2} w^T \Lambda w$ are odd and even in w.
        """
        self.check_symmetric(covariates)
        a, of_cov = self.slope, covariates.fourth_moment(self.tasks.cov)
        return symmetric_tokens(
            self.moments(covariates),
            covariates,
            ((1 + a**2) / 2) ** 2 * _power_square(self.tasks.cov, covariates),
            3 * (1 + a**4) / 2 * namespace(of_cov).sum(self.tasks.cov * of_cov),
        )


@register_facts(TwoLayerRelu)
class TwoLayerFacts(_NeuronFacts):
    """Independent hidden units with symmetric output weights: `scale`² times one."""

    @property
    def scale(self) -> Array | float:
        return self.tasks.scale

    @property
    def sign_symmetric(self) -> bool | None:
        return True

    def tokens(self, covariates: Covariates) -> TokenMoments:
        r"""$p_f = \frac1m \sum_{jk} v_j v_k K_{jk}$, the arc-cosine kernel of two w.

        Exact where Λ^{1/2} C Λ^{1/2} has equal non-zero eigenvalues, so that the angle
        of two hidden weights is that of two isotropic vectors: one quadrature.
        """
        self.check_symmetric(covariates)
        cov, m, four = self.tasks.cov, self.tasks.width, self.scale**4
        trace, angles = _isotropic_angles(cov, covariates)
        own = _power_square(cov, covariates) / 4
        others = (trace / 2) ** 2 + 2 * (trace / (2 * pi)) ** 2 * angles
        quartic = 9 / 2 / m + 3 / 4 * (1 - 1 / m)
        return symmetric_tokens(
            self.moments(covariates),
            covariates,
            four * (3 * own / m + (1 - 1 / m) * others),
            four * quartic * np.sum(cov * covariates.fourth_moment(cov)),
        )


def _power_square(c: Float[Array, "d d"], covariates: Covariates) -> Float[Array, ""]:
    r"""$E(w^T \Lambda w)^2$ for w ~ N(0, C)."""
    spread = c @ covariates.second_moment
    xp = namespace(spread)
    return xp.trace(spread) ** 2 + 2 * xp.sum(spread * spread.T)


def _isotropic_angles(
    cov: Float[Array, "d d"], covariates: Covariates
) -> tuple[np.float64, np.float64]:
    r"""$E|u|^2$ and $E J(\theta)^2$, $J = \sin\theta + (\pi - \theta) \cos\theta$, for
    the angle θ of two draws of u = Λ^{1/2} w.
    """
    product = np.asarray(cov) @ np.asarray(covariates.second_moment)
    values = np.sort(np.linalg.eigvals(product).real)
    values = values[values > 1e-10 * values[-1]]
    if values[-1] - values[0] > 1e-8 * values[-1]:
        raise AssumptionError(
            "exact theory of full linear attention for two-layer networks",
            "equal non-zero eigenvalues of ΛC (covariates times hidden weights)",
            "take isotropic distributions or the GD form, or simulate the risk",
        )
    rank = len(values)
    if rank == 1:
        return values.sum(), np.float64(pi**2 / 2)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    theta = (nodes + 1) * pi / 2
    weights = weights * np.sin(theta) ** (rank - 2)
    curve = np.sin(theta) + (pi - theta) * np.cos(theta)
    return values.sum(), weights @ curve**2 / weights.sum()
