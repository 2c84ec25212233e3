"""Chi-distributed numbers, one normal each and no rejection."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpy.polynomial import chebyshev
from scipy.special import gammainccinv, gammaincinv, ndtr

from .._arrays import Array

_EDGE = 8.5  # no float64 normal from 53 random bits lies further out
_TOLERANCE = 1e-10


def chi_from_normal(
    z: Float[Array, "m b"], degrees: tuple[int, ...]
) -> Float[Array, "m b"]:
    r"""Row i becomes chi-distributed with `degrees[i]` degrees of freedom.

    $\chi = F_k^{-1}(\Phi(z))$ is a smooth function of z, interpolated by a Chebyshev
    series to 1e-10 on |z| ≤ 8.5 (a thousand times below the resolution of float32);
    χ₁ = |z| exactly.
    """
    series = [_series(k) for k in degrees]
    length = max(len(c) for c in series)
    padded = np.stack([np.pad(c, (0, length - len(c))) for c in series])
    coefficients = jnp.asarray(padded, z.dtype)[:, :, None]
    x = z / _EDGE
    high, higher = jnp.zeros_like(z), jnp.zeros_like(z)
    for j in range(length - 1, 0, -1):  # Clenshaw
        high, higher = 2 * x * high - higher + coefficients[:, j], high
    values = x * high - higher + coefficients[:, 0]
    ones = np.array([k == 1 for k in degrees])[:, None]
    return jnp.where(ones, jnp.abs(z), values) if ones.any() else values


def _series(degrees: int) -> Float[np.ndarray, " c"]:
    """The shortest Chebyshev series of z ↦ χ(z) within the tolerance."""
    if degrees == 1:
        return np.zeros(1)
    nodes = np.cos(np.pi * (np.arange(256) + 0.5) / 256)
    values = _quantile(_EDGE * nodes, degrees)
    full = chebyshev.chebfit(nodes, values, 80)
    tails = np.cumsum(np.abs(full[::-1]))[::-1]
    return full[: max(int(np.sum(tails > _TOLERANCE)), 1)]


def _quantile(z: Float[np.ndarray, " p"], degrees: int) -> Float[np.ndarray, " p"]:
    """The chi quantile at Φ(z), from whichever tail is small."""
    lower = gammaincinv(degrees / 2, ndtr(np.minimum(z, 0)))
    upper = gammainccinv(degrees / 2, ndtr(-np.maximum(z, 0)))
    return np.sqrt(2 * np.where(z < 0, lower, upper))
