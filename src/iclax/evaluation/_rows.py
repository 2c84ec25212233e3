"""Risk on prompts made of real labeled rows."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Float

from .._arrays import Array
from ..prompts import Prompt
from ._risk import Estimate, Predictor, average_terms


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
    context. There is no noiseless target: the real label is what is predicted.
    """
    xs, ys = jnp.asarray(rows), jnp.asarray(labels)
    if context_length + 1 > len(xs):
        from .._errors import SettingError

        raise SettingError(
            "prompt.context_length",
            f"{context_length} with {len(xs)} rows",
            f"at most {len(xs) - 1}",
        )

    def sample(key: Any) -> Prompt:
        chosen = jr.permutation(key, len(xs))[: context_length + 1]
        x, y = xs[chosen], ys[chosen]
        return Prompt(x[:-1], y[:-1], x[-1], y[-1], y[-1])

    def errors(prompt: Prompt) -> dict[str, Any]:
        return {
            name: (predictor(prompt) - prompt.label) ** 2
            for name, predictor in predictors.items()
        }

    def sample_batch(key: Any, size: int) -> Prompt:
        return jax.vmap(sample)(jr.split(key, size))

    return average_terms(errors, sample_batch, num_prompts, key, 1024)
