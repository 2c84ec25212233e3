"""Tasks made of ReLU neurons."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from .._lazy import jax, jnp, jr
from .._psd import as_covariance, psd_root
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
        return self.sample_batch(key, xs[None])[0]

    def sample_batch(self, key: Any, xs: Float[Array, "b m d"]) -> Float[Array, "b m"]:
        weight_key, sign_key = jr.split(key)
        root = jnp.asarray(psd_root(self.cov))
        weights = jr.normal(weight_key, (xs.shape[0], root.shape[1])) @ root.T
        values = jax.nn.leaky_relu(jnp.einsum("bmd,bd->bm", xs, weights), self.slope)
        if not self.random_sign:
            return values
        return values * jr.rademacher(sign_key, (xs.shape[0], 1), values.dtype)


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
        return self.sample_batch(key, xs[None])[0]

    def sample_batch(self, key: Any, xs: Float[Array, "b m d"]) -> Float[Array, "b m"]:
        inner_key, outer_key = jr.split(key)
        size, width = xs.shape[0], self.width
        root = jnp.asarray(psd_root(self.cov))
        inner = jr.normal(inner_key, (size, width, root.shape[1])) @ root.T
        outer = jr.normal(outer_key, (size, width)) * (self.scale / width**0.5)
        hidden = jax.nn.relu(jnp.einsum("bmd,bwd->bmw", xs, inner))
        return jnp.einsum("bmw,bw->bm", hidden, outer)
