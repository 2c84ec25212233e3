"""What a task distribution must answer."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float

from .._arrays import Array
from .._lazy import jax, jr


class TaskDistribution(ABC):
    """The law of the function f to be learned in context."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """The dimension d of the covariates that f takes."""

    @property
    def binary(self) -> bool:
        """Whether f takes only the values ±1, so that its natural loss is logistic."""
        return False

    @abstractmethod
    def sample(self, key: Any, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        """Draw one f and return its noiseless values f(x) at the rows of `xs`."""

    def sample_batch(self, key: Any, xs: Float[Array, "b m d"]) -> Float[Array, "b m"]:
        """Draw one f for each of the b blocks of points and return their values.

        Equal in law to `sample` block by block; a family may draw all blocks at once.
        """
        return jax.vmap(self.sample)(jr.split(key, xs.shape[0]), xs)
