"""Risk by simulation, always with its standard error."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._compile import compiler_options
from .._errors import SettingError
from ..prompts import Prompt, PromptDistribution
from ..sampling import fresh_batch
from ._counts import check_count

Predictor = Callable[[Prompt], Any]


@dataclass(frozen=True)
class Estimate:
    """A simulated mean with its `standard_error` over `count` prompts; NaN for one."""

    mean: float
    standard_error: float
    count: int

    def deviation(self, exact: float) -> float:
        """Distance from an exact value, in standard errors."""
        return abs(self.mean - float(exact)) / max(self.standard_error, 1e-300)


def simulate_risks(
    predictors: Mapping[str, Predictor],
    prompts: PromptDistribution,
    *,
    num_prompts: int,
    key: Any,
    batch_size: int = 4096,
) -> dict[str, Estimate]:
    r"""Risk $E(\hat y - f(x_q))^2$ of each predictor, on the same simulated prompts.

    `num_prompts` is rounded up to whole batches; a predictor takes one `Prompt` and
    returns a scalar. Raises `SettingError` for a count below 1 and for a prediction of
    another shape. Exact counterparts: `iclax.theory.preconditioner_risk`,
    `attention_risk`.
    """

    def errors(prompt: Prompt) -> dict[str, Any]:
        return {
            name: (predicted(f"predictors.{name}", predictor, prompt) - prompt.target)
            ** 2
            for name, predictor in predictors.items()
        }

    return average_terms(errors, fresh(prompts), num_prompts, key, batch_size)


def predicted(name: str, predictor: Predictor, prompt: Prompt) -> Any:
    """The prediction for `prompt`; raises `SettingError` unless it is a scalar."""
    value = predictor(prompt)
    if jnp.shape(value) != ():
        found = f"predictions of shape {jnp.shape(value)}"
        raise SettingError(name, found, "a scalar for each prompt")
    return value


def fresh(prompts: PromptDistribution) -> Callable[[Any, int], Prompt]:
    """A sampler (key, size) of fresh prompts, as `average_terms` takes it."""
    return lambda key, size: fresh_batch(prompts, size)(key)


def average_terms(
    terms: Callable[[Prompt], dict[str, Any]],
    sample_batch: Callable[[Any, int], Prompt],
    num_prompts: int,
    key: Any,
    batch_size: int,
) -> dict[str, Estimate]:
    """Means of `terms(prompt)` over prompts from `sample_batch(key, size)`."""
    check_count("num_prompts", num_prompts)
    check_count("batch_size", batch_size)
    batch_size = min(batch_size, num_prompts)
    num_batches = -(-num_prompts // batch_size)

    @partial(jax.jit, compiler_options=compiler_options(short=True))
    def run(keys: Any) -> Any:
        def one_batch(batch_key: Any) -> Any:
            batch = sample_batch(batch_key, batch_size)
            values = jax.vmap(terms)(batch)
            return jax.tree.map(lambda v: (jnp.mean(v), jnp.mean(v**2)), values)

        return jax.lax.map(one_batch, keys)

    found = run(jr.split(key, num_batches))
    count = num_batches * batch_size
    return {name: _combine(*pair, count) for name, pair in found.items()}


def _combine(means: Any, squares: Any, count: int) -> Estimate:
    mean = float(np.mean(np.asarray(means, dtype=np.float64)))
    square = float(np.mean(np.asarray(squares, dtype=np.float64)))
    variance = max(square - mean**2, 0.0) if count > 1 else np.nan
    return Estimate(mean, float(np.sqrt(variance / count)), count)
