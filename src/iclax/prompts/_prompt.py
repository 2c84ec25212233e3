"""Prompts and the distribution they are drawn from."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from jaxtyping import Float

from .._arrays import Array
from .._errors import AssumptionError, SettingError
from .._lazy import jnp, jr
from ..covariates import Covariates
from ..tasks import TaskDistribution
from ._numbers import check_context_length, check_noise_std, check_shape
from ._query import RepeatedPoint


class Prompt(NamedTuple):
    """One prompt: n labeled examples, a query, and what a predictor must not see.

    `ys = f(xs) + noise`; `target = f(query)` is noiseless, `label` is `target` plus
    noise.
    """

    xs: Float[Array, "*b n d"]
    ys: Float[Array, "*b n"]
    query: Float[Array, "*b d"]
    target: Float[Array, "*b"]
    label: Float[Array, "*b"]


@dataclass(frozen=True, eq=False)
class PromptDistribution:
    """The distribution of a prompt: covariates, tasks, `context_length` n and label
    noise `noise_std` σ.

    The query is distributed like the covariates, or as `query_covariates` where given.
    """

    covariates: Covariates
    tasks: TaskDistribution
    context_length: int
    noise_std: float = 0.0
    query_covariates: Covariates | RepeatedPoint | None = None

    def __post_init__(self):
        if self.covariates.dim != self.tasks.dim:
            raise SettingError(
                "tasks",
                f"dimension {self.tasks.dim}",
                f"dimension {self.covariates.dim} (covariates)",
            )
        query_dim = getattr(self.query_covariates, "dim", self.covariates.dim)
        if query_dim != self.covariates.dim:
            raise SettingError(
                "query",
                f"dimension {query_dim}",
                f"dimension {self.covariates.dim} (covariates)",
            )
        check_context_length(self.context_length)
        check_noise_std(self.noise_std)

    @property
    def dim(self) -> int:
        """The dimension d of the covariates."""
        return self.covariates.dim

    def replace(self, **changes: Any) -> "PromptDistribution":
        """The same distribution with some fields changed."""
        return replace(self, **changes)

    def independent_query(self, what: str) -> Covariates:
        """The distribution of x_q where it does not depend on the context.

        Raises `AssumptionError`, on behalf of `what`, where it does, and where `sample`
        has been replaced, so that nobody knows.
        """
        law = self.query_covariates or self.covariates
        found = None
        if type(self).sample is not PromptDistribution.sample:
            found = f"{type(self).__name__} has a `sample` of its own"
        elif not isinstance(law, Covariates):
            found = f"found {law}"
        elif type(law).sample_query is not Covariates.sample_query:
            found = f"{type(law).__name__} has a `sample_query` of its own"
        if found is None:
            return law
        missing = f"a query that is independent of the context ({found})"
        raise AssumptionError(what, missing, "simulate the risk")

    def sample(self, key: Any) -> Prompt:
        """One prompt. `jax.vmap` it over keys for a batch."""
        x_key, q_key, task_key, noise_key = jr.split(key, 4)
        n = self.context_length
        query_law = self.query_covariates or self.covariates
        xs = self.covariates.sample(x_key, n)
        check_shape("covariates", self.covariates, xs, (n, self.dim))
        query = query_law.sample_query(q_key, xs)
        check_shape("query", query_law, query, (self.dim,))
        points = jnp.concatenate([xs, query[None]])
        values = self.tasks.sample(task_key, points)
        check_shape("tasks", self.tasks, values, (n + 1,))
        labels = values + self.noise_std * jr.normal(noise_key, values.shape)
        return Prompt(xs, labels[:n], points[n], values[n], labels[n])
