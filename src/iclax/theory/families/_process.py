"""Gaussian processes: squared-exponential, Fourier features, a kernel of one's own."""

from jaxtyping import Float

from ..._arrays import Array, is_isotropic, is_zero, namespace
from ..._errors import AssumptionError
from ...covariates import Covariates, Data
from ...tasks import FourierFeatures, GaussianProcess, KernelProcess
from ._data import kernel_squares
from ._facts import Facts, register_facts
from ._moments import Moments
from ._tokens import TokenMoments, symmetric_tokens

_FULL = "exact theory of full linear attention"


class ProcessFacts(Facts):
    """f is a centered Gaussian process: its kernel is all there is to know."""

    @property
    def sign_symmetric(self) -> bool | None:
        return True

    def tokens(self, covariates: Covariates) -> TokenMoments:
        r"""$E p_f^2 = P^2 + 2 E k(x, x')^2$ and $E f^4 = 3 E k(x, x)^2$ (Isserlis)."""
        if isinstance(covariates, Data):
            square, diagonal = kernel_squares(self.kernel, covariates)
        else:
            square, diagonal = self.closed_squares(covariates)
        own = self.moments(covariates)
        return symmetric_tokens(
            own, covariates, own.power**2 + 2 * square, 3 * diagonal
        )

    def closed_squares(
        self, covariates: Covariates
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """$E k(x, x')^2$ and $E k(x, x)^2$ in closed form."""
        raise AssumptionError(
            f"{_FULL} for {self.name} tasks",
            "closed forms for the fourth moments of (x, f(x))",
            "take the GD form (preconditioner_risk), or simulate the risk",
        )


@register_facts(GaussianProcess)
class SquaredExponentialFacts(ProcessFacts):
    r"""$k(x, x') = v e^{-(x-x')^T A (x-x')/2}$."""

    @property
    def rotation_invariant(self) -> bool | None:
        return is_isotropic(self.tasks.metric)

    def kernel(self, xs: Array, zs: Array) -> Float[Array, "m p"]:
        return self.tasks.kernel(xs, zs)

    def closed_moments(self, covariates: Covariates) -> Moments:
        r"""$U = v |I + 2\Lambda A|^{-1/2} \Lambda A \Lambda (I + 2A\Lambda)^{-1}$."""
        cov, a = self.gaussian(covariates, "exact theory"), self.tasks.metric
        xp = namespace(cov, a)
        spread = xp.eye(self.tasks.dim) + 2 * a @ cov
        signal = cov @ a @ xp.linalg.solve(spread.T, cov).T
        signal = (signal + signal.T) / 2
        return Moments(
            self.tasks.variance * signal / xp.sqrt(xp.linalg.det(spread)),
            self.tasks.variance * cov,
            self.tasks.variance * xp.ones(()),
        )

    def closed_cross(
        self, covariates: Covariates, query: Covariates
    ) -> Float[Array, "d d"]:
        r"""$C = v |I + A M|^{-1/2} \Lambda (I + A M)^{-1} A \Lambda_q$, $M = \Lambda +
        \Lambda_q$."""
        first, second = (
            self.gaussian(c, "exact theory of two distributions")
            for c in (covariates, query)
        )
        xp, a = namespace(first, second, self.tasks.metric), self.tasks.metric
        spread = xp.eye(self.tasks.dim) + a @ (first + second)
        cross = first @ xp.linalg.solve(spread, a @ second)
        return self.tasks.variance / xp.sqrt(xp.linalg.det(spread)) * cross

    def closed_squares(self, covariates: Covariates) -> tuple[Array, Array]:
        r"""$E k(x, x')^2 = v^2 |I + 4 A \Lambda|^{-1/2}$: twice the metric."""
        cov = self.gaussian(covariates, _FULL)
        xp = namespace(cov, self.tasks.metric)
        spread = xp.eye(self.tasks.dim) + 4 * self.tasks.metric @ cov
        square = self.tasks.variance**2 / xp.sqrt(xp.linalg.det(spread))
        return square, self.tasks.variance**2 * xp.ones(())


@register_facts(FourierFeatures)
class FourierFacts(ProcessFacts):
    """Cosines and sines at shared frequencies ω_j."""

    @property
    def rotation_invariant(self) -> bool | None:
        """Finitely many frequencies do not fill a sphere; cosines are even."""
        return True if self.tasks.dim == 1 else is_zero(self.tasks.frequencies)

    def kernel(self, xs: Array, zs: Array) -> Float[Array, "m p"]:
        xp, frequencies = namespace(xs, zs), self.tasks.frequencies
        first, second = xs @ frequencies.T, zs @ frequencies.T
        waves = xp.cos(first) @ xp.cos(second).T + xp.sin(first) @ xp.sin(second).T
        return self.tasks.variance / len(frequencies) * waves

    def closed_moments(self, covariates: Covariates) -> Moments:
        r"""$U = \frac{v}{m} \sum_j e^{-\omega_j^T \Lambda \omega_j} \Lambda \omega_j
        \omega_j^T \Lambda$: only the sines correlate with x, by Stein's lemma.
        """
        cov = self.gaussian(covariates, "exact theory")
        waves, variance = self.tasks.frequencies, self.tasks.variance
        xp = namespace(cov, waves)
        moved = waves @ cov
        shares = variance / len(waves) * xp.exp(-xp.sum(moved * waves, axis=1))
        signal = (moved.T * shares[None, :]) @ moved
        return Moments(signal, variance * cov, variance * xp.ones(()))

    def closed_cross(
        self, covariates: Covariates, query: Covariates
    ) -> Float[Array, "d d"]:
        """As for one distribution, with the waves damped by both."""
        first, second = (
            self.gaussian(c, "exact theory of two distributions")
            for c in (covariates, query)
        )
        waves = self.tasks.frequencies
        xp = namespace(first, second, waves)
        damping = xp.exp(-xp.sum((waves @ (first + second)) * waves, axis=1) / 2)
        shares = self.tasks.variance / len(waves) * damping
        return first @ (waves.T * shares[None, :]) @ waves @ second

    def closed_squares(self, covariates: Covariates) -> tuple[Array, Array]:
        r"""$E \cos(\omega\delta) \cos(\omega'\delta)$ for δ = x − x' ~ N(0, 2Λ)."""
        cov, waves = self.gaussian(covariates, _FULL), self.tasks.frequencies
        xp = namespace(cov, waves)
        inner = waves @ cov @ waves.T
        sizes = xp.diagonal(inner)
        both = sizes[:, None] + sizes[None, :]
        damped = (xp.exp(2 * inner - both) + xp.exp(-2 * inner - both)) / 2
        square = self.tasks.variance**2 * xp.mean(damped)
        return square, self.tasks.variance**2 * xp.ones(())


@register_facts(KernelProcess)
class KernelFacts(ProcessFacts):
    """A kernel of one's own: exact on data."""

    def kernel(self, xs: Array, zs: Array) -> Float[Array, "m p"]:
        return self.tasks.kernel(xs, zs)

    def closed_moments(self, covariates: Covariates) -> Moments:
        raise self._needs_data("exact theory", covariates)

    def closed_squares(self, covariates: Covariates) -> tuple[Array, Array]:
        raise self._needs_data(_FULL, covariates)

    def _needs_data(self, what: str, covariates: Covariates) -> AssumptionError:
        return AssumptionError(
            f"{what} of a process with a kernel of your own",
            f"data as covariates (found {type(covariates).__name__})",
            "take Data covariates, or simulate the risk",
        )
