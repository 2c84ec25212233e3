"""Training steps of ours, through the call that a user would make."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from iclax.covariates import Gaussian
from iclax.prompts import PromptDistribution
from iclax.tasks import Linear
from iclax.training import train


def training(
    model: Any, loss: Callable[..., Any], optimizer: Any, steps: int, **options: Any
) -> Callable[[], Any]:
    """A call that does `steps` steps of `iclax.training.train` from the same start.

    All calls share one compiled program; what `train` does around it is inside.
    """

    def init(key: Any) -> Any:
        return model

    def call() -> Any:
        result = train(
            init, loss, steps=steps, optimizer=optimizer, record_every=steps, **options
        )
        return jax.block_until_ready(result.model)

    return call


def squared(sample: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """The mean squared error at the query on the batch of a key."""

    def loss(model: Any, key: Any) -> Any:
        batch = sample(key)
        return jnp.mean((model.batch(batch) - batch.target) ** 2)

    return loss


def linear_prompts(d: int, n: int, noise_std: float = 0.0) -> PromptDistribution:
    """Linear tasks with everything isotropic."""
    return PromptDistribution(Gaussian(np.eye(d)), Linear(np.eye(d)), n, noise_std)
