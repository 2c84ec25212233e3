"""Tasks made of ReLU neurons."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from .._arrays import Array, as_covariance, square_root
from .._errors import SettingError
from .._lazy import jax, jnp, jr
from ._base import TaskDistribution


@dataclass(frozen=True, eq=False)
class ReluNeuron(TaskDistribution):
    """f(x) = s · φ(w·x) with w ~ N(0, `cov`) and φ the (leaky) ReLU of slope `slope`
    below 0.

    s = 1, or a fair random sign if `random_sign`, which makes f and −f equal in law.
    The kernel E[f(x) f(x')], and so all one-layer GD-form theory, is the same in both
    cases.
    """

    cov: Float[Array, "d d"] | Any
    slope: float = 0.0
    random_sign: bool = False

    def __post_init__(self):
        object.__setattr__(self, "cov", as_covariance(self.cov, "tasks.cov"))

    @property
    def dim(self) -> int:
        return self.cov.shape[0]

    def sample(self, key: Any, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        weight_key, sign_key = jr.split(key)
        root = jnp.asarray(square_root(self.cov))
        values = jax.nn.leaky_relu(
            xs @ (root @ jr.normal(weight_key, (self.dim,))), self.slope
        )
        return (
            values * jr.rademacher(sign_key, (), values.dtype)
            if self.random_sign
            else values
        )


@dataclass(frozen=True, eq=False)
class TwoLayerRelu(TaskDistribution):
    """f(x) = `scale` · m^{-1/2} Σ_j v_j relu(w_j·x), m = `width` hidden units.

    w_j ~ N(0, `cov`) and v_j ~ N(0, 1), all independent: the output weights are
    symmetric
    in law, so cross terms vanish and the kernel is `scale`² times that of one neuron.
    """

    cov: Float[Array, "d d"] | Any
    width: int
    scale: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "cov", as_covariance(self.cov, "tasks.cov"))
        if self.width < 1:
            raise SettingError(
                "tasks.width", f"{self.width}", "a whole number of at least 1"
            )

    @property
    def dim(self) -> int:
        return self.cov.shape[0]

    def sample(self, key: Any, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        inner_key, outer_key = jr.split(key)
        root = jnp.asarray(square_root(self.cov))
        inner = root @ jr.normal(inner_key, (self.dim, self.width))
        outer = jr.normal(outer_key, (self.width,)) * (self.scale / self.width**0.5)
        return jax.nn.relu(xs @ inner) @ outer
