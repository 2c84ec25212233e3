"""Risk by simulation, always with its standard error."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr

from .._compile import compiler_options
from .._errors import SettingError
from ..prompts import Prompt, PromptDistribution
from ..sampling import fresh_batch
from ._counts import check_count
from ._estimate import Estimate, estimate
from ._sums import Sums
from ._tails import has_power_tails

Predictor = Callable[[Prompt], Any]


def simulate_risks(
    predictors: Mapping[str, Predictor],
    prompts: PromptDistribution,
    *,
    num_prompts: int,
    key: Any,
    batch_size: int | None = None,
) -> dict[str, Estimate]:
    r"""Risk $E(\hat y - f(x_q))^2$ of each predictor, on the same simulated prompts.

    `num_prompts` is rounded up to whole batches (of 4096 prompts, fewer where they are
    so long that memory counts, or of `batch_size`); a predictor takes one `Prompt` and
    returns a scalar. Raises `SettingError` for a count below 1 and for a prediction of
    another shape. Exact counterparts: `iclax.theory.preconditioner_risk`,
    `attention_risk`.
    """
    power_tails = has_power_tails(prompts.covariates, prompts.query_covariates)

    def errors(prompt: Prompt) -> dict[str, Any]:
        return {
            name: (predicted(f"predictors.{name}", predictor, prompt) - prompt.target)
            ** 2
            for name, predictor in predictors.items()
        }

    size = default_batch(prompts) if batch_size is None else batch_size
    found = average_terms(errors, fresh(prompts), num_prompts, key, size)
    return {name: estimate(sums, power_tails) for name, sums in found.items()}


def predicted(name: str, predictor: Predictor, prompt: Prompt) -> Any:
    """The prediction for `prompt`; raises `SettingError` unless it is a scalar."""
    value = predictor(prompt)
    if jnp.shape(value) != ():
        found = f"predictions of shape {jnp.shape(value)}"
        raise SettingError(name, found, "a scalar for each prompt")
    return value


def default_batch(prompts: PromptDistribution) -> int:
    """As many prompts at once as take at most 64 MiB in float32, and at most 4096."""
    numbers = (prompts.context_length + 1) * prompts.dim
    return max(1, min(4096, 2**24 // numbers))


def fresh(prompts: PromptDistribution) -> Callable[[Any, int], Prompt]:
    """A sampler (key, size) of fresh prompts, as `average_terms` takes it."""
    return lambda key, size: fresh_batch(prompts, size)(key)


def average_terms(
    terms: Callable[[Any], dict[str, Any]],
    sample_batch: Callable[[Any, int], Any],
    num_prompts: int,
    key: Any,
    batch_size: int,
) -> dict[str, Sums]:
    """Sums of `terms(prompt)` over prompts from `sample_batch(key, size)`, by name.

    The one engine of every simulated mean. Raises `SettingError` for a count below 1.
    """
    check_count("num_prompts", num_prompts)
    check_count("batch_size", batch_size)
    size = min(batch_size, num_prompts)
    count = -(-num_prompts // size)
    keys = jr.split(key, count)

    @partial(jax.jit, compiler_options=compiler_options(short=True))
    def run(keys: Any, batch: Any) -> Any:
        return jax.vmap(terms)(sample_batch(keys[batch], size))

    ahead = run(keys, 0)
    found = {name: Sums(v, count * size) for name, v in ahead.items()}
    ahead = run(keys, 1) if count > 1 else {}
    for batch in range(2, count + 1):
        # The device computes the next batch while this one is summed.
        now, ahead = ahead, run(keys, batch) if batch < count else {}
        for name, values in now.items():
            found[name].add(values)
    return found
