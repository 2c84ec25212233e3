"""Steps at which runs reached something, as saved: NaN is None, which JSON can hold."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def steps_or_none(steps: Float[np.ndarray, " runs"]) -> list[float | None]:
    """NaN (never) as None."""
    return [None if np.isnan(t) else float(t) for t in steps]


def reached_or_last(
    steps: Sequence[float | None], last: int
) -> Float[np.ndarray, " runs"]:
    """One that had not come by the `last` step counts as that."""
    return np.array([last if t is None else t for t in steps], np.float64)
