"""Moments of a task distribution by simulation, for laws without a closed form."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Float

from .._arrays import Array
from .._compile import compiler_options
from ..covariates import Covariates
from ..tasks import TaskDistribution
from ._counts import check_count


@dataclass(frozen=True, eq=False)
class SimulatedMoments:
    r"""Estimates of U, V and P with the standard error of every entry. **Not exact.**

    $U = E[k(x, x') x x'^T]$ (`signal`), $V = E[k(x, x) x x^T]$ (`energy`) and
    $P = E[k(x, x)]$ (`power`) with $k(x, x') = E_f f(x) f(x')$, over `num_tasks` draws
    of f. Hand them to theory as
    `theory.prompt_moments(prompts, theory.Moments(*simulated.values))`.
    """

    signal: Float[Array, "d d"]
    energy: Float[Array, "d d"]
    power: Float[Array, ""]
    signal_error: Float[Array, "d d"]
    energy_error: Float[Array, "d d"]
    power_error: Float[Array, ""]
    num_tasks: int
    uncertainty: ClassVar[str] = "simulated, with standard errors"

    @property
    def values(self) -> tuple[Array, Array, Array]:
        """The three estimates (U, V, P)."""
        return self.signal, self.energy, self.power


def simulate_moments(
    tasks: TaskDistribution,
    covariates: Covariates,
    *,
    key: Any,
    num_tasks: int,
    num_points: int = 16,
    batch_size: int = 4096,
) -> SimulatedMoments:
    r"""Unbiased estimates of the moments of any task distribution that can be sampled.

    Each of `num_tasks` functions is seen at `num_points` m points: with
    $s = \sum_i f(x_i) x_i$, U averages $(s s^T - \sum_i f(x_i)^2 x_i x_i^T)/(m(m-1))$.
    Standard errors come from the spread over functions: NaN for one. Raises
    `SettingError` for a count below 1, or fewer than two points. Exact counterpart:
    `iclax.theory.moments`.
    """
    check_count("num_tasks", num_tasks)
    check_count("num_points", num_points, least=2)
    check_count("batch_size", batch_size)

    def one(task_key: Any) -> tuple[Array, Array, Array]:
        point_key, value_key = jr.split(task_key)
        xs = covariates.sample(point_key, num_points)
        values = tasks.sample(value_key, xs)
        moved = xs * values[:, None]
        own, total = moved.T @ moved, jnp.sum(moved, axis=0)
        pairs = num_points * (num_points - 1)
        return (
            (jnp.outer(total, total) - own) / pairs,
            own / num_points,
            jnp.mean(values**2),
        )

    @partial(jax.jit, compiler_options=compiler_options())
    def batch(batch_key: Any) -> Any:
        found = jax.vmap(one)(jr.split(batch_key, size))
        return [(jnp.mean(v, axis=0), jnp.mean(v**2, axis=0)) for v in found]

    size = min(batch_size, num_tasks)
    count = -(-num_tasks // size)
    sums = [batch(batch_key) for batch_key in jr.split(key, count)]
    found = [_mean_and_error(parts, count * size) for parts in zip(*sums, strict=True)]
    means, errors = zip(*found, strict=True)
    return SimulatedMoments(*means, *errors, count * size)


def _mean_and_error(parts: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean over batches and its standard error, from batch means and squares."""
    means, squares = (np.asarray(v, dtype=np.float64) for v in zip(*parts, strict=True))
    mean, square = means.mean(axis=0), squares.mean(axis=0)
    variance = np.clip(square - mean**2, 0.0, None) if count > 1 else mean * np.nan
    error = np.sqrt(variance / count)
    return np.asarray(mean), np.asarray(error)
