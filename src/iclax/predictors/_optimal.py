"""The Bayes predictor of a prompt distribution."""

from typing import Any

from .._errors import AssumptionError
from ..prompts import PromptDistribution
from ..tasks import GaussianProcess, is_plain, weight_law
from ._gaussian import GaussianPosteriorMean, MixturePosteriorMean
from ._kernel import GaussianProcessPosterior

_JITTER = 1e-5  # of the variance: what `GaussianProcess.sample` adds to its kernel


def bayes_predictor(prompts: PromptDistribution) -> Any:
    """E[f(x_q) | context], the least risk that any predictor can have.

    For linear tasks with Gaussian weights, mixtures of them (with label noise) and
    Gaussian processes, under any covariates. Raises `AssumptionError` for others.
    """
    tasks, sigma = prompts.tasks, prompts.noise_std
    what = f"the Bayes predictor of {type(tasks).__name__} tasks"
    prompts.independent_query(what)
    if is_plain(tasks, GaussianProcess):
        noise = sigma**2 + _JITTER * tasks.variance
        return GaussianProcessPosterior(tasks.kernel, noise)
    law = weight_law(tasks)
    if law is None:
        raise AssumptionError(
            what,
            "Gaussian weights, a mixture of them, or a Gaussian process",
            "compare with ridge regression or least squares",
        )
    if len(law.weights) == 1:
        return GaussianPosteriorMean.of_factor(law.factors[0], sigma, law.means[0])
    return MixturePosteriorMean(law.weights, law.means, law.factors, sigma)
