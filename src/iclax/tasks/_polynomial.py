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
        total = jnp.zeros(xs.shape[0])
        for degree, coefficient in self.coefficients.items():
            tensor = jr.normal(jr.fold_in(key, degree), (self.dim,) * degree)
            total = total + coefficient**0.5 * _contract(tensor, xs)
        return total


def _contract(tensor: Array, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
    """⟨T, x ⊗ … ⊗ x⟩ at each row of `xs`."""
    values = jnp.broadcast_to(tensor, (xs.shape[0], *tensor.shape))
    while values.ndim > 1:
        values = jnp.einsum("m...d,md->m...", values, xs)
    return values
