"""Questions about a task distribution, answered by what is known of its family."""

from typing import NamedTuple

from jaxtyping import Float

from ..._arrays import Array
from ...covariates import Covariates
from ...prompts import PromptDistribution
from ...tasks import TaskDistribution
from .._inputs import check_dimensions
from ._facts import Facts, check_covariates, facts
from ._linear import both
from ._moments import Moments
from ._tokens import TokenMoments


def moments(tasks: TaskDistribution, covariates: Covariates) -> Moments:
    """Exact moments (U, V, P) of `tasks` under `covariates`.

    A mixture averages those of its components. Under `Data` they are finite averages
    of the kernel of f over the rows, O(m² d) time in blocks; under other covariates,
    closed forms. Raises `AssumptionError` where neither is known for the pair, and
    `SettingError` where their dimensions differ.
    """
    return _known(tasks, covariates).moments(covariates)


def task_kernel(
    tasks: TaskDistribution, xs: Float[Array, "m d"], zs: Float[Array, "p d"]
) -> Float[Array, "m p"]:
    """The kernel $k(x, z) = E_f[f(x) f(z)]$ at each row of `xs` and of `zs`.

    All that a GD-form layer sees of a task distribution. Raises `AssumptionError`
    where no closed form is known.
    """
    return facts(tasks).kernel(xs, zs)


def token_moments(tasks: TaskDistribution, covariates: Covariates) -> TokenMoments:
    """Exact token moments of `tasks` under `covariates`.

    Raises `AssumptionError` where no closed form is known for the pair, and
    `SettingError` where their dimensions differ.
    """
    return _known(tasks, covariates).tokens(covariates)


class QueryMoments(NamedTuple):
    r"""`cross` $C = E[k(x, x_q) x x_q^T]$ and `power` $P = E k(x_q, x_q)$."""

    cross: Float[Array, "d d"]
    power: Float[Array, ""]


def query_moments(
    tasks: TaskDistribution, covariates: Covariates, query: Covariates
) -> QueryMoments:
    """Exact `QueryMoments` of `tasks` for x ~ `covariates` and x_q ~ `query`.

    Raises `AssumptionError` where no closed form is known, and `SettingError` where
    dimensions differ.
    """
    known = _known(tasks, covariates)
    check_dimensions(tasks, query, "query")
    check_covariates(query, "query")
    return QueryMoments(known.cross(covariates, query), known.power(query))


def cross_moments(prompts: PromptDistribution, own: Moments) -> QueryMoments:
    """What ties the context of `prompts`, with moments `own`, to its query.

    C is U where the two have one distribution. Raises `AssumptionError` where the task
    distribution has no closed form.
    """
    query = query_law(prompts)
    if prompts.query_covariates is None:
        return QueryMoments(own.signal, own.power)
    return query_moments(prompts.tasks, prompts.covariates, query)


def query_law(prompts: PromptDistribution) -> Covariates:
    """The distribution of x_q; refused where it depends on the context.

    Refuses also prompts and covariates that draw otherwise than their formulas say.
    """
    law = prompts.independent_query("exact theory of this prompt")
    check_covariates(prompts.covariates)
    check_covariates(law, "query")
    return law


def no_context_loss(
    tasks: TaskDistribution, covariates: Covariates
) -> Float[Array, ""]:
    r"""The least loss of a function of the query alone, $\min_g E\,\ell(g(x), f(x))$.

    $\ell$ is the squared error, $E\,Var(f(x) | x)$, or for binary tasks the logistic
    loss in nats, $E_x H(P(f(x) = 1 | x))$. Kim et al. (2024) divide each task's
    training loss by it. Raises `AssumptionError` where no closed form or finite
    enumeration is known, and `SettingError` where dimensions differ.
    """
    return _known(tasks, covariates).no_context_loss(covariates)


def no_context_risk(prompts: PromptDistribution) -> Float[Array, ""]:
    r"""The least risk of a function of the query alone: $E\,Var(f(x_q) | x_q)$.

    The height of the plateau of a model that knows the tasks' mean but does not use the
    context; the risk of predicting 0 where the mean is 0. Always the squared error.
    Raises `AssumptionError` where the mean function or the power is not known.
    """
    query = query_law(prompts)
    known = _known(prompts.tasks, query, "query")
    return known.power(query) - known.mean_power(query)


def is_sign_symmetric(tasks: TaskDistribution) -> bool | None:
    """Whether f and −f have one distribution; None where that is not known."""
    return facts(tasks).sign_symmetric


def is_rotation_invariant(
    tasks: TaskDistribution, covariates: Covariates
) -> bool | None:
    """Whether x and R x, f and f∘R have one distribution each for every orthogonal R.

    None where that is not known.
    """
    return both(covariates.rotation_invariant, facts(tasks).rotation_invariant)


def _known(
    tasks: TaskDistribution, covariates: Covariates, name: str = "covariates"
) -> Facts:
    check_dimensions(tasks, covariates, name)
    check_covariates(covariates, name)
    return facts(tasks)
