"""Whether a curve drops by more than its own noise."""

import numpy as np
from jaxtyping import Float

# A drop counts from so many standard errors: half of it is then about three standard
# errors of one average, which noise alone hardly crosses on the way.
_ERRORS = 4.0
# Fewer records decide nothing: of flat noisy curves of five one in thirty passes.
_FEWEST = 6
_CLIP = 3.0  # robust standard deviations
_NORMAL_MEDIAN = 0.6745  # of |z|, z standard normal
_ROUNDING = 1e-12


def is_drop(
    curve: Float[np.ndarray, " records"], weights: Float[np.ndarray, " records"]
) -> bool:
    r"""Whether $D = \sum_i w_i y_i$, an average of early records less one of late
    records, is above 4 of its standard errors.

    $\mathrm{Var}\, D = \gamma_0 \sum_{ij} w_i w_j \varphi^{|i-j|}$: the noise is taken
    for AR(1), a record's correlation with the next being φ, and read from what departs
    from the best curve that never rises, r: $E(r_{i+2} - r_i)^2 / E(r_{i+1} - r_i)^2 =
    1 + \varphi$ and $E(r_{i+2} - 2 r_{i+1} + r_i)^2 = 2 \gamma_0 (1 - \varphi)(3 -
    \varphi)$. These are differences of neighbors, so that slow changes are no noise.
    Differences are clipped at three robust standard deviations, and φ enters as its
    estimate plus 3/√m, about two standard errors, but below 1 by 1/m at least.
    Fewer than 6 records are no drop. After Hall and Van Keilegom (2003, J. R. Stat.
    Soc. B 65), who estimate autoregressive noise around a smooth curve so.
    """
    drop = float(weights @ curve)
    if len(curve) < _FEWEST or drop <= _ROUNDING * np.abs(curve).max():
        return False
    return drop > _ERRORS * _standard_error(curve, weights)


def _standard_error(
    curve: Float[np.ndarray, " m"], weights: Float[np.ndarray, " m"]
) -> float:
    from scipy.optimize import isotonic_regression
    from scipy.signal import lfilter

    rest = curve - isotonic_regression(curve, increasing=False).x
    second = _mean_square(np.diff(rest, 2))
    if second == 0:
        return 0.0
    ratio = _mean_square(rest[2:] - rest[:-2]) / _mean_square(np.diff(rest))
    m = len(curve)
    phi = min(max(ratio - 1, 0.0) + 3 / np.sqrt(m), 1 - 1 / m)
    variance = second / (2 * (1 - phi) * (3 - phi))
    # Σ_ij w_i w_j φ^|i−j| = Σ_i w_i (2 u_i − w_i), u_i = w_i + φ u_{i−1}.
    sums = lfilter([1.0], [1.0, -phi], weights)
    return float(np.sqrt(variance * max(weights @ (2 * sums - weights), 0.0)))


def _mean_square(differences: Float[np.ndarray, " k"]) -> float:
    """Robust to jumps; where most differences are 0, as of rounded values, the others
    set the scale."""
    sizes = np.abs(differences)
    if not sizes.any():
        return 0.0
    scale = np.median(sizes[sizes > 0]) / _NORMAL_MEDIAN
    return float(np.mean(np.minimum(sizes, _CLIP * scale) ** 2))
