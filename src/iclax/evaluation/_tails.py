r"""Whether terms have tails so heavy that their standard error means nothing.

Calibrated by the coverage of mean ± 2 standard errors, see docs/simulation.md.
"""

from math import inf, isqrt, nan

import numpy as np
from jaxtyping import Float

from ..covariates import Covariates
from ._sums import Sums

_FEWEST = 5


def excess_shape(largest: Float[np.ndarray, " t"], count: int) -> tuple[float, int]:
    r"""The shape ξ of the tail, from the excesses of the k largest terms over the next.

    By probability-weighted moments of a generalized Pareto distribution (Hosking &
    Wallis, 1987), $\xi = 2 - b_0 / (b_0 - 2 b_1)$: moments from order 1/ξ on are
    infinite. At most k = 2√`count` terms, which is returned too; NaN for fewer than 5.
    """
    k = min(2 * isqrt(count), len(largest) - 1)
    if k < _FEWEST:
        return nan, k
    with np.errstate(invalid="ignore"):  # terms that are not finite give NaN
        excesses = largest[:k] - largest[k]
        mean = np.mean(excesses)
        spread = mean - 2 * np.mean(excesses * np.arange(k)) / (k - 1)
        return (float(2 - mean / spread) if spread > 0 else nan), k


def effective_count(sums: Sums) -> float:
    r"""$(\sum d^2)^2 / \sum d^4$: how many equal terms would have this spread."""
    return float(sums.second**2 / sums.fourth) if sums.fourth > 0 else nan


def is_heavy_tailed(sums: Sums, power_tails: bool = False) -> bool:
    r"""Whether the standard error of the mean of these terms cannot be trusted.

    True where one term makes the spread (effective count below 1.25), where the
    variance looks infinite ($\xi > \frac12 + 16/k$, as ξ of few terms is uncertain and
    too high) and the effective count is below 100, and where $\xi > \frac14$ on prompts
    known to have `power_tails`: how heavy they are shows in so few of the terms that a
    sample of thousands may have none of these.
    """
    (shape, k), effective = (
        excess_shape(sums.largest, sums.count),
        effective_count(sums),
    )
    return bool(
        effective < 1.25
        or (effective < 100 and shape > 0.5 + 16 / k)
        or (power_tails and not shape <= 0.25)
    )


def has_power_tails(*covariates: Covariates | None) -> bool:
    """Whether E|x|⁸ is known to be infinite for one: a Student t with ν ≤ 8.

    The variance of a squared error takes it where predictions are quadratic in a token
    of the context, as all of linear attention and of gradient steps are.
    """
    return any(getattr(each, "degrees", inf) <= 8 for each in covariates)
