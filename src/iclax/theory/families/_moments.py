"""The three moments of a task distribution that one GD-form layer can see."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from ..._arrays import Array, namespace


@dataclass(frozen=True, eq=False)
class Moments:
    r"""Signal, energy and power of a task distribution under a covariate distribution.

    With the kernel $k(x, x') = E_f[f(x) f(x')]$ and x, x' independent,
    $U = E[k(x, x') x x'^T]$ (`signal`), $V = E[k(x, x) x x^T]$ (`energy`, without label
    noise) and $P = E[k(x, x)]$ (`power`). Where a formula gives them without a
    difference that cancels: `scatter` V − U, the covariance of f(x) x given f, and
    `residual` $P - tr(\Lambda^{+} U)$, what no linear function of x explains. Derived
    in docs/theory/one-layer.md.
    """

    signal: Float[Array, "d d"]
    energy: Float[Array, "d d"]
    power: Float[Array, ""]
    scatter: Float[Array, "d d"] | None = None
    residual: Float[Array, ""] | float | None = None

    def __post_init__(self):
        if self.scatter is None:
            object.__setattr__(self, "scatter", self.energy - self.signal)

    def scaled(self, factor: Float[Array, ""] | float) -> "Moments":
        """The moments of the tasks whose kernel is `factor` times this one."""
        parts = (self.signal, self.energy, self.power, self.scatter, self.residual)
        return Moments(*(None if part is None else factor * part for part in parts))

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.signal + other.signal,
            self.energy + other.energy,
            self.power + other.power,
            self.scatter + other.scatter,
            plus(self.residual, other.residual),
        )


def plus(first: Any, second: Any) -> Any:
    """The sum of two values, None where one of them is not known."""
    return None if first is None or second is None else first + second


def quadratic_form_moments(
    a: Float[Array, "d d"], cov: Float[Array, "d d"], order: int
) -> tuple[Float[Array, ""], Float[Array, "d d"]]:
    r"""$E[q^k]$ and $E[q^k x x^T]$ for $q = x^T A x$, x ~ N(0, Λ), k = `order`.

    By Stein's lemma $S_k = m_k \Lambda + 2k \Lambda A S_{k-1}$ with $m_k = tr(A
    S_{k-1})$.
    """
    xp = namespace(a, cov)
    mean, matrix = xp.ones(()), cov
    for k in range(1, order + 1):
        mean = xp.trace(a @ matrix)
        matrix = mean * cov + 2 * k * cov @ a @ matrix
    return mean, matrix
