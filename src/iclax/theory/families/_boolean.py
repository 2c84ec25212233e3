"""Tasks on signs: parities, conjunctions, disjunctions and decision trees."""

from math import comb, pi
from typing import Any

import numpy as np
from jaxtyping import Float

from ..._arrays import Array
from ..._errors import AssumptionError
from ...covariates import Covariates, Gaussian, Rademacher, Uniform
from ...tasks import Conjunction, DecisionTree, Disjunction, Parity, SparseParity
from ._facts import Facts, entropy, register_facts
from ._moments import Moments


class _BooleanFacts(Facts):
    """f = ±1 on {±1}^d, so that V = Λ and P = 1 there; `signal` is U = `signal` · I."""

    @property
    def rotation_invariant(self) -> bool | None:
        """A function of the corners of a cube is not one of a sphere."""
        return False if self.tasks.dim > 1 else None

    @property
    def signal(self) -> float:
        """U_ii."""
        raise NotImplementedError

    def closed_moments(self, covariates: Covariates) -> Moments:
        self.check_cube(covariates, "exact theory")
        eye = np.eye(self.tasks.dim)
        return Moments(self.signal * eye, eye, np.float64(1.0), (1 - self.signal) * eye)

    def check_cube(self, covariates: Covariates, what: str) -> None:
        """Refuse covariates that are not uniform on {±1}^d."""
        eye = np.eye(self.tasks.dim)
        if isinstance(covariates, Rademacher) and np.array_equal(covariates.cov, eye):
            return
        raise AssumptionError(
            f"{what} for {self.name} tasks",
            f"covariates uniform on {{±1}}^d (found {covariates})",
            "take Rademacher covariates with identity covariance, or data of ±1",
        )


@register_facts(SparseParity)
class SparseParityFacts(_BooleanFacts):
    """A parity of k of the d coordinates."""

    @property
    def sign_symmetric(self) -> bool | None:
        """f(1, …, 1) = (−1)^{k+1} whatever the subset."""
        return False

    @property
    def signal(self) -> float:
        """Only a single coordinate correlates with x: U = I/d for size 1, else 0."""
        return 1 / self.tasks.dim if self.tasks.size == 1 else 0.0

    def kernel(self, xs: Array, zs: Array) -> Float[Array, "m p"]:
        r"""The mean of $\prod_{i \in A} x_i z_i$, where x and z agree in s coordinates:
        the coefficient of $t^{|A|}$ in $(1 + t)^s (1 - t)^{d - s}$ over that for s = d.
        """
        d, size = self.tasks.dim, self.tasks.size
        table = [
            sum((-1) ** j * comb(d - s, j) * comb(s, size - j) for j in range(size + 1))
            for s in range(d + 1)
        ]
        return np.array(table)[_agreements(xs, zs)] / comb(d, size)

    def mean(self, xs: Array) -> Float[Array, " m"]:
        return (2 * self._odd_chances() - 1)[_positives(xs)]

    def closed_mean_power(self, covariates: Covariates) -> Float[Array, ""]:
        self.check_cube(covariates, "the exact no-context loss")
        return self._shares() @ (2 * self._odd_chances() - 1) ** 2

    def closed_no_context_loss(self, covariates: Covariates) -> Float[Array, ""]:
        self.check_cube(covariates, "the exact no-context loss")
        return self._shares() @ entropy(self._odd_chances())

    def _shares(self) -> Float[np.ndarray, " d1"]:
        """The probability of m coordinates at +1."""
        d = self.tasks.dim
        return np.array([comb(d, m) / 2**d for m in range(d + 1)])

    def _odd_chances(self) -> Float[np.ndarray, " d1"]:
        """P(f = 1) given m coordinates at +1: the number in A is hypergeometric."""
        d, k = self.tasks.dim, self.tasks.size
        odd = [
            sum(comb(m, j) * comb(d - m, k - j) for j in range(1, k + 1, 2))
            for m in range(d + 1)
        ]
        return np.array([count / comb(d, k) for count in odd])


@register_facts(Parity)
class ParityFacts(_BooleanFacts):
    """A parity of any subset of the coordinates."""

    @property
    def sign_symmetric(self) -> bool | None:
        """Every parity is −1 at (−1, …, −1)."""
        return False

    @property
    def signal(self) -> float:
        """One of the 2^d subsets is {i}."""
        return 0.5**self.tasks.dim

    def kernel(self, xs: Array, zs: Array) -> Float[Array, "m p"]:
        """All subsets at once: 1 where x = z, else 0."""
        return (_agreements(xs, zs) == self.tasks.dim) * 1.0

    def mean(self, xs: Array) -> Float[Array, " m"]:
        return (_positives(xs) == 0) * -1.0

    def closed_mean_power(self, covariates: Covariates) -> Float[Array, ""]:
        self.check_cube(covariates, "the exact no-context loss")
        return np.float64(0.5**self.tasks.dim)

    def closed_no_context_loss(self, covariates: Covariates) -> Float[Array, ""]:
        """A fair coin, save at x = (−1, …, −1)."""
        self.check_cube(covariates, "the exact no-context loss")
        return (1 - 0.5**self.tasks.dim) * np.log(2)


@register_facts(Conjunction, Disjunction)
class ConjunctionFacts(_BooleanFacts):
    """Conjunctions and disjunctions of literals with probability p each."""

    @property
    def sign_symmetric(self) -> bool | None:
        """With one coordinate that is always a literal f = ±x, else f is not."""
        return self.tasks.dim == 1 and self.tasks.literal_probability == 1

    @property
    def signal(self) -> float:
        r"""With s literals $E[f x_i] = \pm 2^{1-s}$ on each of them, so that
        $U_{ii} = E[4^{1-s} 1(i \text{ is a literal})] = p (1 - 3p/4)^{d-1}$.
        """
        p = self.tasks.literal_probability
        return p * (1 - 3 * p / 4) ** (self.tasks.dim - 1)

    def kernel(self, xs: Array, zs: Array) -> Float[Array, "m p"]:
        """f = 2h − 1 with h the indicator: 4 P(both hold) − 4 P(one holds) + 1."""
        d, p = self.tasks.dim, self.tasks.literal_probability
        agreeing = _agreements(xs, zs)
        pair = (1 - p / 2) ** agreeing * (1 - p) ** (d - agreeing)
        return 4 * pair - 4 * (1 - p / 2) ** d + 1

    def affine_mean(self) -> tuple[Any, Array] | None:
        """All coordinates must pass, each with probability 1 − p/2, at every x."""
        chance = (1 - self.tasks.literal_probability / 2) ** self.tasks.dim
        sign = 1 if isinstance(self.tasks, Conjunction) else -1
        return sign * (2 * chance - 1), np.zeros(self.tasks.dim)

    def mean(self, xs: Array) -> Float[Array, " m"]:
        _positives(xs)  # refuses other points
        return np.full(len(xs), self.affine_mean()[0])

    def closed_no_context_loss(self, covariates: Covariates) -> Float[Array, ""]:
        self.check_cube(covariates, "the exact no-context loss")
        return entropy((1 + self.affine_mean()[0]) / 2)


@register_facts(DecisionTree)
class TreeFacts(Facts):
    """A full binary tree on random coordinates' signs with Gaussian leaves."""

    @property
    def sign_symmetric(self) -> bool | None:
        return self.tasks.leaf_mean == 0

    @property
    def rotation_invariant(self) -> bool | None:
        constant = self.tasks.leaf_std == 0
        return True if constant else False if self.tasks.dim > 1 else None

    def kernel(self, xs: Array, zs: Array) -> Float[Array, "m p"]:
        """x and z share a leaf if each coordinate on the path has one sign on both."""
        sides = [np.where(np.asarray(v) > 0, 1.0, -1.0) for v in (xs, zs)]
        share = (_agreements(*sides) / self.tasks.dim) ** self.tasks.depth
        return self.tasks.leaf_mean**2 + self.tasks.leaf_std**2 * share

    def affine_mean(self) -> tuple[Any, Array] | None:
        """Whatever the leaf, its value has the same distribution."""
        return self.tasks.leaf_mean, np.zeros(self.tasks.dim)

    def mean(self, xs: Array) -> Float[Array, " m"]:
        return np.full(len(xs), float(self.tasks.leaf_mean))

    def power(self, covariates: Covariates) -> Float[Array, ""]:
        return np.float64(self.tasks.leaf_mean**2 + self.tasks.leaf_std**2)

    def closed_moments(self, covariates: Covariates) -> Moments:
        r"""x and x' share a leaf with probability $(A/d)^D$, A of their signs alike.

        $U_{jj} = \frac{s^2}{2} (E|x_j|)^2 E[(\frac{1+A'}{d})^D - (\frac{A'}{d})^D]$
        with A' the agreements elsewhere, Binomial(·, 1/2) and one more for each
        constant coordinate, whose signs always agree; s² is the leaf variance.
        """
        spread = _mean_absolute(self, covariates) ** 2
        d, depth = self.tasks.dim, self.tasks.depth
        constant = int(np.sum(spread == 0))
        others = np.arange(max(d - constant, 1))
        chances = np.array([comb(others[-1], int(a)) for a in others])
        agreeing = constant + others
        gain = (chances / 2.0 ** others[-1]) @ (
            ((1 + agreeing) / d) ** depth - (agreeing / d) ** depth
        )
        power = self.power(covariates)
        signal = self.tasks.leaf_std**2 / 2 * gain * np.diag(spread)
        return Moments(signal, power * covariates.second_moment, power)


def _positives(xs: Array) -> np.ndarray:
    """The number of coordinates at +1 of points in {±1}^d."""
    xs = np.asarray(xs)
    return _agreements(xs, np.ones((1, xs.shape[1])))[:, 0]


def _agreements(xs: Array, zs: Array) -> np.ndarray:
    """The number of equal coordinates of points in {±1}^d."""
    xs, zs = np.asarray(xs), np.asarray(zs)
    if not (np.all(np.abs(xs) == 1) and np.all(np.abs(zs) == 1)):
        raise AssumptionError(
            "the kernel of a Boolean task", "points in {±1}^d", "threshold the data"
        )
    return np.rint((xs.shape[1] + xs @ zs.T) / 2).astype(int)


def _mean_absolute(facts: TreeFacts, covariates: Covariates) -> Float[np.ndarray, " d"]:
    """E|x_j| of distributions whose coordinates are independent."""
    shares = {Gaussian: (2 / pi) ** 0.5, Uniform: 3**0.5 / 2, Rademacher: 1.0}
    cov = covariates.second_moment
    if type(covariates) not in shares or np.any(cov != np.diag(np.diag(cov))):
        raise AssumptionError(
            f"exact theory for {facts.name} tasks",
            f"independent coordinates (found {covariates})",
            "take covariates with a diagonal covariance, or data",
        )
    return shares[type(covariates)] * np.sqrt(np.diag(cov))


def label_frequency_loss(
    tasks: Conjunction | Disjunction, num_points: int
) -> Float[Array, ""]:
    r"""The least logistic loss of a predictor that sees earlier labels, not their x.

    A conjunction of m literals holds at a random x with probability 2^{-m}, so its
    labels alone tell how many literals it has; with $m \sim Bin(d, q)$ this returns
    $-\frac1n E \log P(y_1, \dots, y_n)$ over `num_points` n positions. Below
    `no_context_loss`: a transformer reaches it before it learns to use the inputs.
    Derived in docs/diversity.md.
    """
    d, q, n = tasks.dim, tasks.literal_probability, num_points
    literals, held = np.arange(d + 1), np.arange(n + 1)
    with np.errstate(divide="ignore"):
        prior = np.log([comb(d, m) * q**m * (1 - q) ** (d - m) for m in literals])
        miss = np.log1p(-(0.5**literals))  # −inf at m = 0: a miss is impossible
    failures = (n - held)[:, None]
    missed = np.where(failures == 0, 0.0, failures * np.where(failures, miss, 0.0))
    from scipy.special import gammaln, logsumexp  # a quarter of a second

    log_p = logsumexp(prior - np.log(2) * held[:, None] * literals + missed, axis=1)
    count = gammaln(n + 1) - gammaln(held + 1) - gammaln(n - held + 1)
    return -np.sum(np.exp(count + log_p) * log_p) / n
