"""A simulated number: its mean, its standard error, and whether to trust that."""

from dataclasses import dataclass
from math import comb, isfinite, nan
from typing import Any

import numpy as np
from jaxtyping import Float

from ._sums import Sums
from ._tails import effective_count, excess_shape, is_heavy_tailed


@dataclass(frozen=True)
class Estimate:
    r"""A simulated `mean` with its `standard_error` over `count` prompts; NaN for one.

    `heavy_tailed` says that the standard error cannot be trusted: a few terms make most
    of it, and larger ones have probably not been seen. The numbers behind it:
    `effective_count` is $(\sum d^2)^2 / \sum d^4$ of the deviations d from the mean,
    `tail_shape` the ξ of the largest terms (from ½ on the variance is infinite).

    `median` is the median of the means of 32 blocks, `low` and `high` its interval of
    at least 95 %, whatever the tails (NaN below 6 blocks). It estimates the median of a
    mean over `count`/32 prompts, what a user of so few would typically see: with heavy
    tails of positive terms that lies below the mean, which rare prompts carry.
    """

    mean: float
    standard_error: float
    count: int
    heavy_tailed: bool = False
    effective_count: float = nan
    tail_shape: float = nan
    median: float = nan
    low: float = nan
    high: float = nan

    def deviation(self, exact: float) -> float:
        """Distance from an exact value, in standard errors."""
        return abs(self.mean - float(exact)) / max(self.standard_error, 1e-300)

    def agrees(self, exact: Any, errors: float = 3.0) -> bool | None:
        """Whether `exact` is at most `errors` standard errors away; None where that
        cannot be told: one prompt, or tails that make the standard error meaningless.

        A mean is known no better than to float32 rounding. One that is not finite does
        not agree with a finite value.
        """
        away = abs(self.mean - float(exact))
        if not isfinite(self.mean) and isfinite(exact):
            return False
        if self.heavy_tailed or not isfinite(self.standard_error + away):
            return None
        rounding = float(np.finfo(np.float32).eps) * abs(self.mean)
        error = max(self.standard_error, rounding)
        return bool(away <= errors * error)

    def __str__(self) -> str:
        return format(self)

    def __format__(self, spec: str) -> str:
        """Mean and standard error in one format, such as `f"{estimate:.2f}"`."""
        spec = spec or ".4g"
        text = f"{self.mean:{spec}} ± {self.standard_error:{spec}}"
        return f"{text} (heavy tails)" if self.heavy_tailed else text


def estimate(sums: Sums, power_tails: bool = False) -> Estimate:
    """The estimate of a mean from the sums over its terms, which are scalars."""
    return Estimate(
        float(sums.mean),
        float(sums.standard_error),
        sums.count,
        is_heavy_tailed(sums, power_tails),
        effective_count(sums),
        excess_shape(sums.largest, sums.count)[0],
        *median_interval(sums.blocks),
    )


def estimate_from_blocks(
    values: Float[np.ndarray, " k"], count: int, heavy_tailed: bool
) -> Estimate:
    """The estimate of a number from its (pseudo-)values in equal blocks of prompts.

    `effective_count` and the median are those of the blocks.
    """
    sums = Sums(values, len(values))
    return Estimate(
        float(sums.mean),
        float(sums.standard_error),
        count,
        heavy_tailed,
        effective_count(sums),
        nan,
        *median_interval(values),
    )


def median_interval(values: Float[np.ndarray, " k"]) -> tuple[float, float, float]:
    r"""The median, and an interval for that of the distribution: $x_{(r)}$ and
    $x_{(k + 1 - r)}$ hold it with probability $1 - 2 P(Bin(k, \frac12) < r) \ge 0.95$.
    """
    ordered, k = np.sort(values), len(values)
    tails = np.cumsum([comb(k, i) for i in range(k)]) / 2**k
    r = int(np.sum(2 * tails <= 0.05))
    middle = float(np.median(ordered))
    if r == 0:
        return middle, nan, nan
    return middle, float(ordered[r - 1]), float(ordered[k - r])
