"""Random waves of fixed frequencies."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array, as_array
from .._errors import SettingError
from .._lazy import jnp, jr
from ._base import TaskDistribution


@dataclass(frozen=True, eq=False)
class FourierFeatures(TaskDistribution):
    r"""$f(x) = \sqrt{v/m} \sum_j (\alpha_j \cos \omega_j x + \beta_j \sin \omega_j x)$.

    α, β ~ N(0, 1) independent, $\omega_j$ the m rows of `frequencies`, v = `variance`:
    a Gaussian process with kernel $\frac{v}{m} \sum_j \cos \omega_j (x - x')$. All
    tasks share the frequencies.
    """

    frequencies: Float[Array, "m d"] | Any
    variance: float = 1.0

    def __post_init__(self):
        frequencies = as_array(self.frequencies)
        if frequencies.ndim != 2 or 0 in frequencies.shape:
            raise SettingError(
                "tasks.frequencies", f"shape {frequencies.shape}", "a matrix (m, d)"
            )
        if not self.variance > 0:
            raise SettingError(
                "tasks.variance", f"{self.variance}", "a positive number"
            )
        object.__setattr__(self, "frequencies", frequencies)

    @classmethod
    def random(
        cls,
        dim: int,
        num_features: int,
        length_scale: float,
        variance: float = 1.0,
        seed: int = 0,
    ) -> "FourierFeatures":
        """Frequencies ~ N(0, I/ℓ²), drawn once (Rahimi and Recht, 2007): as m grows,
        `GaussianProcess.rbf`.
        """
        draws = np.random.default_rng(seed).standard_normal((num_features, dim))
        return cls(draws / length_scale, variance)

    @property
    def dim(self) -> int:
        return self.frequencies.shape[1]

    def sample(self, key: Any, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        phases = xs @ jnp.asarray(self.frequencies).T
        waves = jnp.concatenate([jnp.cos(phases), jnp.sin(phases)], axis=1)
        scale = (self.variance / self.frequencies.shape[0]) ** 0.5
        return scale * waves @ jr.normal(key, (waves.shape[1],))
