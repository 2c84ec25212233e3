"""The three moments of a task distribution that one GD-form layer can see."""

from ..covariates import Covariates, Data
from ..tasks import Mixture, TaskDistribution
from . import _family_moments as _family_moments, _moments_boolean as _moments_boolean
from ._inputs import check_dimensions
from ._moments_closed import Moments, closed_moments
from ._moments_kernel import kernel_moments


def moments(tasks: TaskDistribution, covariates: Covariates) -> Moments:
    """Exact moments (U, V, P) of `tasks` under `covariates`.

    A mixture averages those of its components. Under `Data` they are finite averages
    of the kernel of f over the rows, O(m² d) time in blocks; under other laws, closed
    forms. Raises `AssumptionError` where neither is known for the pair, and
    `SettingError` where their dimensions differ.
    """
    check_dimensions(tasks, covariates)
    if isinstance(tasks, Mixture):
        pairs = zip(tasks.weights, tasks.components, strict=True)
        parts = [moments(part, covariates).scaled(weight) for weight, part in pairs]
        return sum(parts[1:], parts[0])
    # Linear tasks need only moments of x, O(m d²).
    if isinstance(covariates, Data) and not hasattr(tasks, "weight_second_moment"):
        return kernel_moments(tasks, covariates)
    return closed_moments(tasks, covariates)
