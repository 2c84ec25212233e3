"""All that is known of one task family, in one object."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from ..._arrays import Array, namespace
from ..._errors import AssumptionError
from ..._inherit import stale
from ...covariates import Covariates, Data, Gaussian
from ...tasks import SAMPLING, TaskDistribution, is_plain
from ._data import kernel_cross, kernel_mean_power, kernel_moments
from ._moments import Moments
from ._tokens import TokenMoments

# What distributions say of themselves, and formulas believe.
_KNOWN = ("weight_mean", "weight_second_moment", "kernel")


class Facts:
    """What is known of the task distribution `tasks`; the base knows nothing.

    A method that has no answer raises `AssumptionError` with the missing assumption; a
    symmetry is True, False or None (not known). A family's subclass overrides what its
    formulas can say, and `register_facts` makes it known.
    """

    def __init__(self, tasks: Any):
        self.tasks = tasks

    @property
    def name(self) -> str:
        """The family's name, for messages."""
        return type(self.tasks).__name__

    @property
    def sign_symmetric(self) -> bool | None:
        """Whether f and −f have one distribution."""
        return None

    @property
    def rotation_invariant(self) -> bool | None:
        """Whether f and f∘R have one distribution for every orthogonal R."""
        return None

    def kernel(
        self, xs: Float[Array, "m d"], zs: Float[Array, "p d"]
    ) -> Float[Array, "m p"]:
        """$k(x, z) = E_f[f(x) f(z)]$ at each row of `xs` and of `zs`."""
        raise AssumptionError(
            f"the kernel of {self.name} tasks",
            "a closed form for E f(x) f(x')",
            "estimate moments with standard errors: iclax.evaluation.simulate_moments",
        )

    def mean(self, xs: Float[Array, "m d"]) -> Float[Array, " m"]:
        """$E_f f(x)$ at each row of `xs`: all that is known without a context."""
        if self.sign_symmetric:
            return namespace(xs).zeros(xs.shape[0])
        raise AssumptionError(
            f"the mean function of {self.name} tasks",
            "a closed form for E f(x) given x",
            "simulate it",
        )

    def affine_mean(self) -> tuple[Any, Array] | None:
        """(c, μ) where E_f f(x) = c + μ·x at every x; None where that is not known."""
        return (0.0, np.zeros(self.tasks.dim)) if self.sign_symmetric else None

    def weight_moment(self) -> Float[Array, "d d"]:
        """W = E[w wᵀ] of tasks f(x) = w·x."""
        raise AssumptionError(
            "the exact risk of this predictor",
            f"linear tasks (found {self.name})",
            "simulate it",
        )

    def moments(self, covariates: Covariates) -> Moments:
        """U, V and P: averages of the kernel over data, else closed forms."""
        if isinstance(covariates, Data):
            return kernel_moments(self.kernel, covariates)
        return self.closed_moments(covariates)

    def power(self, covariates: Covariates) -> Float[Array, ""]:
        """P = E f(x)²."""
        return self.moments(covariates).power

    def closed_moments(self, covariates: Covariates) -> Moments:
        """The closed forms behind `moments`."""
        raise AssumptionError(
            f"exact theory for {self.name} tasks",
            "a closed form for the moments of this task distribution",
            "estimate them with standard errors: iclax.evaluation.simulate_moments",
        )

    def cross(self, covariates: Covariates, query: Covariates) -> Float[Array, "d d"]:
        """$C = E[k(x, x_q) x x_q^T]$ for x ~ `covariates` and x_q ~ `query`."""
        if isinstance(covariates, Data) and isinstance(query, Data):
            return kernel_cross(self.kernel, covariates, query)
        return self.closed_cross(covariates, query)

    def closed_cross(
        self, covariates: Covariates, query: Covariates
    ) -> Float[Array, "d d"]:
        """The closed forms behind `cross`."""
        raise AssumptionError(
            f"{self.name} tasks with a query distribution of its own",
            "a closed form for the kernel between the two distributions",
            "leave the query's distribution out, or simulate the risk",
        )

    def tokens(self, covariates: Covariates) -> TokenMoments:
        """Moments of (x; f(x)) up to fourth order, for full linear attention."""
        raise AssumptionError(
            f"exact theory of full linear attention for {self.name} tasks",
            "closed forms for the fourth moments of (x, f(x))",
            "take the GD form (preconditioner_risk), or simulate the risk",
        )

    def mean_power(self, covariates: Covariates) -> Float[Array, ""]:
        """$E_x (E_f f(x))^2$: the part of the power that needs no context."""
        if self.sign_symmetric:
            return 0.0 * self.power(covariates)
        if isinstance(covariates, Data):
            return kernel_mean_power(self.mean, covariates)
        return self.closed_mean_power(covariates)

    def closed_mean_power(self, covariates: Covariates) -> Float[Array, ""]:
        """The closed forms behind `mean_power`: c² + μᵀΛμ where E x = 0."""
        affine = self.affine_mean()
        if affine is not None and covariates.symmetric:
            constant, mean = affine
            return constant**2 + mean @ covariates.second_moment @ mean
        raise AssumptionError(
            f"the exact no-context loss of {self.name} tasks",
            "a closed form for E Var(f(x) | x)",
            "simulate it",
        )

    def no_context_loss(self, covariates: Covariates) -> Float[Array, ""]:
        """The least loss of a function of the query alone; see `no_context_loss`."""
        if not self.tasks.binary:
            return self.power(covariates) - self.mean_power(covariates)
        if isinstance(covariates, Data):
            return np.mean(entropy((1 + np.asarray(self.mean(covariates.rows))) / 2))
        return self.closed_no_context_loss(covariates)

    def closed_no_context_loss(self, covariates: Covariates) -> Float[Array, ""]:
        """The closed forms behind the logistic `no_context_loss` of binary tasks."""
        raise AssumptionError(
            f"the exact no-context loss of {self.name} tasks",
            "a closed form for P(f(x) = 1 | x)",
            "simulate it",
        )

    def gaussian(self, covariates: Covariates, what: str) -> Float[Array, "d d"]:
        """The covariance of Gaussian covariates; others are refused for `what`."""
        if isinstance(covariates, Gaussian):
            return covariates.cov
        raise AssumptionError(
            f"{what} for {self.name} tasks",
            f"Gaussian covariates (found {type(covariates).__name__})",
            "take Gaussian covariates, linear tasks, or simulated moments",
        )

    def check_symmetric(self, covariates: Covariates) -> None:
        """Refuse covariates of which it is not known that x and −x are alike."""
        if not covariates.symmetric:
            known = "not known" if covariates.symmetric is None else "not so"
            raise AssumptionError(
                f"exact theory for {self.name} tasks",
                "covariates with one distribution for x and −x "
                f"({known} for {type(covariates).__name__})",
                "take symmetric covariates, or linear tasks",
            )


_REGISTRY: dict[type, Callable[[Any], Facts]] = {}
_Found = TypeVar("_Found", bound=type[Facts])


def register_facts(*families: type[TaskDistribution]) -> Callable[[_Found], _Found]:
    """A class decorator: the `Facts` subclass below holds what is known of `families`.

    The door for a user's own family too: with its facts registered it has exact theory,
    `iclax run` and figures like ours. A subclass of a family that is sampled otherwise
    is another family, of which nothing is known.
    """

    def register(found: _Found) -> _Found:
        _REGISTRY.update(dict.fromkeys(families, found))
        return found

    return register


def facts(tasks: TaskDistribution) -> Facts:
    """What is known of `tasks`."""
    for base in type(tasks).__mro__:
        if base in _REGISTRY and is_plain(tasks, base):
            inherited = stale(tasks, SAMPLING, [n for n in _KNOWN if hasattr(base, n)])
            return Facts(tasks) if inherited else _REGISTRY[base](tasks)
    return Facts(tasks)


def registered_families() -> tuple[type, ...]:
    """Every family with facts."""
    return tuple(_REGISTRY)


def check_covariates(covariates: Covariates, name: str = "covariates") -> None:
    """Refuse a subclass that draws otherwise and inherits its parent's moments."""
    known = ("second_moment", "fourth_moment", "sixth_moment", "symmetric")
    known = (*known, "fourth_scatter", "rotation_invariant")
    inherited = stale(covariates, ("sample",), known)
    if inherited is not None:
        kind = type(covariates).__name__
        raise AssumptionError(
            f"exact theory for {kind} as {name}",
            f"a {inherited} of its own (it replaces `sample` and inherits the rest)",
            f"define {inherited} in {kind}, or simulate the risk",
        )


def entropy(p: Any) -> Float[Array, "..."]:
    """The entropy of a coin in nats."""
    from scipy.special import entr

    return entr(p) + entr(1 - p)
