"""Exact test error of given weights that read the label energy as well, finite d."""

from typing import Any

from jaxtyping import Float

from .._arrays import Array, as_array, namespace
from .._errors import SettingError
from .._psd import as_covariance


def rectangular_risk(
    gamma: Float[Array, "d d1"],
    context_length: int,
    noise_variance: float | int,
    *,
    pool: Float[Array, "k d"] | Any = None,
    cov: Float[Array, "d d"] | Any = None,
) -> Float[Array, ""]:
    r"""Risk of $\hat y = x_q^T \Gamma h$, $h = (\frac dn \sum y_i x_i;
    \frac1n \sum y_i^2)$, x ~ N(0, I/d); exact at finite d.

    $$R = \tfrac1d \{ tr(\Gamma\, E[h h^T]\, \Gamma^T) - 2\, tr(\Gamma\, E[h w^T])
    + E|w|^2 \}$$

    The test tasks are the rows of `pool`, or w ~ N(0, `cov`): give one. `gamma` is
    d × (d + 1), `noise_variance` ρ the variance of the context labels. With
    p = |w|²/d + ρ, $E[h h^T|w]$ has the blocks $\frac dn p I + (1 + \frac1n) w w^T$,
    $(1 + \frac2n) p w$ and $(1 + \frac2n) p^2$. Lu et al. (2024) for |w|² = d; derived
    in docs/theory/finite-data.md.
    """
    if (pool is None) == (cov is None):
        found = "both" if cov is not None else "neither"
        raise SettingError("pool, cov", found, "one of the two")
    gamma, n = as_array(gamma), context_length
    dim = gamma.shape[0]
    if gamma.shape != (dim, dim + 1):
        raise SettingError("gamma", f"shape {gamma.shape}", "shape (dim, dim + 1)")
    if pool is None:
        second, linear, mean, square = _gaussian(cov, noise_variance, dim)
    else:
        second, linear, mean, square = _finite(as_array(pool), noise_variance)
    xp = namespace(gamma, second)
    row, last = gamma[:, :dim], gamma[:, dim]
    inner = dim / n * mean * xp.eye(dim) + (1 + 1 / n) * second
    quadratic = (
        xp.sum((row @ inner) * row)
        + 2 * (1 + 2 / n) * last @ row @ linear
        + (1 + 2 / n) * square * last @ last
    )
    cross = xp.sum(row * second) + last @ linear
    return (quadratic - 2 * cross + xp.trace(second)) / dim


def _gaussian(cov: Any, noise: float, dim: int) -> tuple[Array, Array, Array, Array]:
    """E[w wᵀ], E[p w], E[p], E[p²] for p = |w|²/d + ρ."""
    second = as_covariance(cov, "cov", dim)
    xp = namespace(second)
    mean = xp.trace(second) / dim + noise
    return second, xp.zeros(dim), mean, mean**2 + 2 * xp.sum(second**2) / dim**2


def _finite(
    pool: Float[Array, "k d"], noise: float
) -> tuple[Array, Array, Array, Array]:
    xp = namespace(pool)
    energy = xp.mean(pool**2, axis=1) + noise
    count = pool.shape[0]
    return (
        pool.T @ pool / count,
        energy @ pool / count,
        xp.mean(energy),
        xp.mean(energy**2),
    )
