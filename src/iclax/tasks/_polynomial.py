"""Random polynomials."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from .._lazy import jnp, jr
from ._base import TaskDistribution


@dataclass(frozen=True, eq=False)
class Polynomial(TaskDistribution):
    r"""$f(x) = \sum_p \sqrt{c_p} \langle T_p, x^{\otimes p} \rangle$, T_p i.i.d.
    standard normal.

    `coefficients` maps the degree p to c_p ≥ 0; the kernel is $\sum_p c_p (x^T x')^p$.
    Only odd degrees make f odd.
    """

    input_dim: int
    coefficients: Mapping[int, float]

    def __post_init__(self):
        pairs = {int(p): float(c) for p, c in self.coefficients.items()}
        if not pairs or min(pairs) < 0 or min(pairs.values()) < 0:
            raise SettingError(
                "tasks.coefficients",
                f"{pairs}",
                "degrees ≥ 0 with non-negative coefficients",
            )
        object.__setattr__(self, "coefficients", pairs)

    @property
    def dim(self) -> int:
        return self.input_dim

    def sample(self, key: Any, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        return self.sample_batch(key, xs[None])[0]

    def sample_batch(self, key: Any, xs: Float[Array, "b m d"]) -> Float[Array, "b m"]:
        size, total = xs.shape[0], jnp.zeros(xs.shape[:2])
        for degree, coefficient in self.coefficients.items():
            tensors = jr.normal(jr.fold_in(key, degree), (size, self.dim**degree))
            values = jnp.einsum("bmp,bp->bm", _powers(xs, degree), tensors)
            total = total + coefficient**0.5 * values
        return total


def _powers(xs: Float[Array, "b m d"], degree: int) -> Float[Array, "b m p"]:
    """The entries of x ⊗ … ⊗ x (`degree` factors) at each point."""
    powers = jnp.ones((*xs.shape[:2], 1), xs.dtype)
    for _ in range(degree):
        powers = (powers[..., None] * xs[..., None, :]).reshape(*xs.shape[:2], -1)
    return powers
