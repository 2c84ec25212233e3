"""The standard error of any function of means, by the block jackknife."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float


def pseudo_values(
    function: Callable[..., Any],
    blocks: Sequence[Float[np.ndarray, "k ..."]],
    sizes: Float[np.ndarray, " k"],
) -> Float[np.ndarray, " k"]:
    r"""$p_k = K \theta - (K - 1) \theta_{(k)}$, θ the function of the means over all
    terms and $\theta_{(k)}$ of the means without block k.

    `blocks` has the means over the `sizes` terms of each block, one array for each
    argument of `function`. Their mean is θ less its bias of order 1/count, their
    spread over √K its standard error (Tukey, 1958; Künsch, 1989). With one block they
    are θ.
    """
    count = len(sizes)
    whole = function(*(np.average(b, axis=0, weights=sizes) for b in blocks))
    if count == 1:
        return np.array([float(whole)])
    kept = 1 - np.eye(count)
    left = [
        function(*(np.average(b, axis=0, weights=w * sizes) for b in blocks))
        for w in kept
    ]
    return count * float(whole) - (count - 1) * np.asarray(left, dtype=np.float64)
