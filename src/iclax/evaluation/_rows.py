"""Risk on prompts made of real labeled rows."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from ..prompts import Prompt
from ._counts import check_count
from ._estimate import Estimate, estimate
from ._risk import Predictor, average_terms, predicted


def simulate_row_risks(
    predictors: Mapping[str, Predictor],
    rows: Float[Array, "m d"],
    labels: Float[Array, " m"],
    *,
    context_length: int,
    num_prompts: int,
    key: Any,
) -> dict[str, Estimate]:
    r"""Mean of $(\hat y - y_q)^2$ on prompts of n + 1 different real rows.

    The rows of a prompt are drawn without replacement, so the query is never in its own
    context. There is no noiseless target: the real label is what is predicted. Raises
    `SettingError` for rows and labels that do not match or are not finite, and for a
    context that is empty or takes all rows.
    """
    _check_rows(rows, labels)
    _check_context_length(context_length, len(rows))
    xs, ys = jnp.asarray(rows), jnp.asarray(labels)

    def sample(key: Any) -> Prompt:
        chosen = jr.permutation(key, len(xs))[: context_length + 1]
        x, y = xs[chosen], ys[chosen]
        return Prompt(x[:-1], y[:-1], x[-1], y[-1], y[-1])

    def errors(prompt: Prompt) -> dict[str, Any]:
        return {
            name: (predicted(f"predictors.{name}", predictor, prompt) - prompt.label)
            ** 2
            for name, predictor in predictors.items()
        }

    def sample_batch(key: Any, size: int) -> Prompt:
        return jax.vmap(sample)(jr.split(key, size))

    found = average_terms(errors, sample_batch, num_prompts, key, 1024)
    return {name: estimate(sums) for name, sums in found.items()}


def _check_rows(rows: Any, labels: Any) -> None:
    if np.ndim(rows) != 2:
        raise SettingError("rows", f"shape {np.shape(rows)}", "(rows, d)")
    if np.shape(labels) != (len(rows),):
        found = f"shape {np.shape(labels)} with {len(rows)} rows"
        raise SettingError("labels", found, "one label for each row")
    for name, values in (("rows", rows), ("labels", labels)):
        if not np.all(np.isfinite(values)):
            allowed = "finite numbers; leave such rows out"
            raise SettingError(name, "a value that is NaN or infinite", allowed)


def _check_context_length(context_length: int, num_rows: int) -> None:
    check_count("prompt.context_length", context_length)
    if context_length + 1 > num_rows:
        found = f"{context_length} with {num_rows} rows"
        raise SettingError("prompt.context_length", found, f"at most {num_rows - 1}")
