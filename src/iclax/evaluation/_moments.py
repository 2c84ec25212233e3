"""Moments of a task distribution by simulation, where there is no closed form."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from ..covariates import Covariates
from ..prompts import PromptDistribution
from ..prompts._numbers import check_shape
from ..sampling._draws import check_draws
from ..tasks import TaskDistribution
from ._counts import check_count
from ._estimate import Estimate, estimate_from_blocks
from ._jackknife import pseudo_values
from ._risk import average_terms
from ._sums import Sums
from ._tails import has_power_tails, is_heavy_tailed


@dataclass(frozen=True, eq=False)
class SimulatedMoments:
    r"""Estimates of U, V and P with the standard error of every entry. **Not exact.**

    $U = E[k(x, x') x x'^T]$ (`signal`), $V = E[k(x, x) x x^T]$ (`energy`) and
    $P = E[k(x, x)]$ (`power`) with $k(x, x') = E_f f(x) f(x')$, over `num_tasks` draws
    of f. Hand them to theory as
    `theory.prompt_moments(prompts, theory.Moments(*simulated.values))`, and what theory
    makes of them to `propagate`, which tells its standard error. `heavy_tailed`: the
    standard errors cannot be trusted, as those of P, tr U or tr V cannot (`Estimate`).
    `blocks` has (U, V, P) over each of 32 blocks of tasks, `sizes` how many tasks.
    """

    signal: Float[Array, "d d"]
    energy: Float[Array, "d d"]
    power: Float[Array, ""]
    signal_error: Float[Array, "d d"]
    energy_error: Float[Array, "d d"]
    power_error: Float[Array, ""]
    num_tasks: int
    heavy_tailed: bool
    blocks: tuple[
        Float[np.ndarray, "k d d"], Float[np.ndarray, "k d d"], Float[np.ndarray, " k"]
    ]
    sizes: Float[np.ndarray, " k"]
    uncertainty: ClassVar[str] = "simulated, with standard errors"

    @property
    def values(self) -> tuple[Array, Array, Array]:
        """The three estimates (U, V, P)."""
        return self.signal, self.energy, self.power

    def propagate(
        self, function: Callable[[tuple[Array, Array, Array]], Any]
    ) -> Estimate:
        """A scalar `function` of (U, V, P), with its jackknife standard error.

        Its mean is the function of the estimates less the bias of order 1/`num_tasks`
        that a curved function has, such as the risk of an optimum that was itself
        computed from them. 33 calls. For instance
        `lambda values: theory.risk_from_moments(gamma, theory.prompt_moments(prompts,
        theory.Moments(*values)))`. Raises `SettingError` for another shape: ask for one
        entry at a time.
        """

        def scalar(*values: Any) -> float:
            found = np.asarray(function(values))
            if found.shape != ():
                raise SettingError("function", f"shape {found.shape}", "a scalar")
            return float(found)

        values = pseudo_values(scalar, self.blocks, self.sizes)
        return estimate_from_blocks(values, self.num_tasks, self.heavy_tailed)


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

    Each of `num_tasks` functions is seen at `num_points` m points: U averages
    $f(x_i) f(x_j) x_i x_j^T$ over the m(m−1) pairs i ≠ j, V and P over the points.
    Standard errors come from the spread over functions: NaN for one. Raises
    `SettingError` for a count below 1, fewer than two points, and draws of another
    shape or not from their key. Exact counterpart: `iclax.theory.moments`.
    """
    check_count("num_tasks", num_tasks)
    check_count("num_points", num_points, least=2)
    check_count("batch_size", batch_size)
    check_draws(PromptDistribution(covariates, tasks, num_points, 0.0))

    def one(task_key: Any) -> dict[str, Any]:
        point_key, value_key = jr.split(task_key)
        xs = covariates.sample(point_key, num_points)
        check_shape("covariates", covariates, xs, (num_points, covariates.dim))
        values = tasks.sample(value_key, xs)
        check_shape("tasks", tasks, values, (num_points,))
        moved = xs * values[:, None]
        signal = sum_over_pairs(moved) / (num_points * (num_points - 1))
        energy, power = moved.T @ moved / num_points, jnp.mean(values**2)
        return {
            "signal": signal,
            "energy": energy,
            "power": power,
            "trace of signal": jnp.trace(signal),
            "trace of energy": jnp.trace(energy),
        }

    draw = lambda batch_key, size: jr.split(batch_key, size)
    found = average_terms(one, draw, num_tasks, key, batch_size)
    parts = [found[name] for name in ("signal", "energy", "power")]
    return SimulatedMoments(
        *(part.mean for part in parts),
        *(part.standard_error for part in parts),
        parts[0].count,
        _is_heavy_tailed(found, covariates),
        tuple(part.blocks for part in parts),
        parts[0].sizes,
    )


def sum_over_pairs(vectors: Float[Array, "m d"]) -> Float[Array, "d d"]:
    r"""$\sum_{i \ne j} v_i v_j^T$, from the sums of the vectors before each.

    The square of the sum less $\sum_i v_i v_i^T$ is a difference of large numbers where
    a few vectors are far longer than the others.
    """
    before = jnp.cumsum(vectors, axis=0)[:-1]
    pairs = before.T @ vectors[1:]
    return pairs + pairs.T


def _is_heavy_tailed(found: dict[str, Sums], covariates: Covariates) -> bool:
    power_tails = has_power_tails(covariates)
    sizes = ("power", "trace of signal", "trace of energy")
    return any(is_heavy_tailed(found[name], power_tails) for name in sizes)
