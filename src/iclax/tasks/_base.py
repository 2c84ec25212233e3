"""What a task distribution must answer."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float

from .._arrays import Array
from .._inherit import keeps
from .._lazy import jax, jr

# The methods by which a task distribution is sampled: what is known of a family is
# known of these, and of no subclass that replaces one of them.
SAMPLING = ("sample", "sample_batch", "sample_weights")


class TaskDistribution(ABC):
    """The distribution of the function f to be learned in context."""

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


class LinearTasks(TaskDistribution):
    """Tasks f(x) = w·x: the distribution of the weights w is all there is to say.

    A subclass of its own with these three has exact theory of the GD form for free.
    """

    @property
    @abstractmethod
    def weight_mean(self) -> Float[Array, " d"]:
        """E[w]."""

    @property
    @abstractmethod
    def weight_second_moment(self) -> Float[Array, "d d"]:
        """$W = E[w w^T]$, not centered."""

    @abstractmethod
    def sample_weights(self, key: Any) -> Float[Array, " d"]:
        """One draw of w."""

    @property
    def dim(self) -> int:
        return self.weight_second_moment.shape[0]

    def sample(self, key: Any, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        return xs @ self.sample_weights(key)


def is_plain(tasks: Any, family: type[TaskDistribution]) -> bool:
    """Whether `tasks` are of that `family`, sampled as it samples."""
    names = [name for name in SAMPLING if hasattr(family, name)]
    return keeps(tasks, family, names)
