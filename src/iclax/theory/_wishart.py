r"""Exact averages over real Wishart matrices $X^T X$ with rows of X ~ N(0, ·)."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from .._arrays import Array, namespace

Words = list[list[Array]]

_NODES = 16  # Gauss–Legendre nodes on each panel
_HALVINGS = 26  # panels towards 0, for functions that are sharp there
_TAIL = 9.0  # standard deviations of a singular value beyond the bulk, at least


def spectral_mean(
    function: Callable[[np.ndarray], Array], dim: int, n: int
) -> Float[Array, ""]:
    r"""$E \sum_{i \le d} f(\lambda_i)$ over the eigenvalues of $X^T X$, X ~ N(0, 1).

    X is n × d and `function` f takes arrays. An integral against the exact eigenvalue
    density, without sampling; the d − n eigenvalues 0 count where n < d. Derived in
    docs/theory/reference-risks.md.
    """
    values, density = spectrum(min(dim, n), max(dim, n))
    zeros = max(dim - n, 0)
    edge = function(np.zeros(1))[0] if zeros else 0.0
    found = function(values)
    return namespace(found).sum(density * found) + zeros * edge


@lru_cache(maxsize=64)
def spectrum(
    small: int, large: int
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    r"""Nodes λ and weights for averages over the non-zero Wishart eigenvalues.

    With $\lambda = s^2$ the joint density is $\prod \psi(s_i) |\Delta(s^2)|$. De
    Bruijn's formula makes its generating function a Pfaffian of $A_{jk} = \int\!\int
    sgn(t - s) \psi_j(s) \psi_k(t)$, whose logarithmic derivative is the one-point
    density $2 \sum_{jk} (A^{-1})_{kj} (\epsilon\psi_j) \psi_k$, with $\epsilon\psi(t) =
    \frac12 \int sgn(t - s) \psi(s) ds$, and one more row for odd `small`.
    """
    nodes, weights, widths = _panels(small, large)
    waves = _waves(small, large - small, nodes)
    totals = waves @ weights
    halves = _cumulative(waves, widths) - totals[:, None] / 2
    skew = 2 * (halves * weights) @ waves.T
    skew = (skew - skew.T) / 2
    if small % 2:
        skew = np.block([[skew, totals[:, None]], [-totals[None, :], np.zeros((1, 1))]])
    inverse = np.linalg.inv(skew)
    core = inverse[:small, :small]
    density = 2 * np.sum(waves * (core @ halves), axis=0)
    if small % 2:
        density = density + inverse[small, :small] @ waves
    return nodes**2, weights * density


def _panels(small: int, large: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gauss–Legendre nodes and weights on panels of s, and the panels' widths.

    Singular values lie within a few units of √large ± √small; where that reaches 0 the
    panels shrink towards it.
    """
    center, spread = large**0.5, small**0.5 + _TAIL
    low, high = max(center - spread, 0.0), center + spread
    edges = np.linspace(low, high, max(2 * round(high - low), small) + 1)
    if low == 0:
        finer = edges[1] * 0.5 ** np.arange(_HALVINGS, 0, -1)
        edges = np.concatenate([[0.0], finer, edges[1:]])
    points, weights = np.polynomial.legendre.leggauss(_NODES)
    widths = np.diff(edges)
    nodes = edges[:-1, None] + widths[:, None] * (points + 1) / 2
    return nodes.ravel(), (widths[:, None] * weights / 2).ravel(), widths


def _cumulative(values: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Integrals from 0 to each node of functions given at the nodes."""
    points, weights = np.polynomial.legendre.leggauss(_NODES)
    legendre = np.polynomial.legendre
    # Values → Legendre coefficients → antiderivatives that vanish at −1 → values.
    basis = legendre.legvander(points, _NODES - 1)
    project = basis.T * weights * (np.arange(_NODES) + 0.5)[:, None]
    integrals = legendre.legint(np.eye(_NODES), lbnd=-1, axis=0)
    inside = legendre.legvander(points, _NODES) @ integrals @ project
    panels = values.reshape(len(values), -1, _NODES) * widths[:, None] / 2
    whole = np.cumsum(panels @ weights, axis=1)
    before = np.concatenate([np.zeros((len(values), 1)), whole[:, :-1]], axis=1)
    return (panels @ inside.T + before[:, :, None]).reshape(values.shape)


def _waves(count: int, extra: int, s: np.ndarray) -> np.ndarray:
    """Functions $\\psi_j(s) ∝ s^{extra} e^{-s²/2}$ × orthogonal polynomials in s².

    Laguerre functions in s², up to one factor in common; the recurrence carries an
    exponent so that none of its terms under- or overflows.
    """
    order, x = extra - 0.5, s**2
    # Relative to the largest value, so that large exponents cancel before rounding.
    peak = extra**0.5
    exponent = -(s - peak) * (s + peak) / 2
    if extra:
        exponent = exponent + extra * np.log1p((s - peak) / peak)
    previous, current = np.zeros_like(x), np.ones_like(x)
    found = [current * np.exp(exponent)]
    for j in range(count - 1):
        scale = ((j + 1) * (j + 1 + order)) ** 0.5
        following = (2 * j + 1 + order - x) * current
        following = (following - (j * (j + order)) ** 0.5 * previous) / scale
        size = np.maximum(np.abs(following), np.abs(current)) + 1e-300
        previous, current = current / size, following / size
        exponent = exponent + np.log(size)
        found.append(current * np.exp(exponent))
    return np.array(found)


def word_mean(words: Words, cov: Float[Array, "d d"], n: int) -> Float[Array, ""]:
    r"""$E \prod_w tr(A_1 S A_2 S \cdots A_m S)$ for $S = X^T X / n$, x ~ N(0, `cov`).

    Each word is the list of its matrices. By Stein's lemma on one x in the first S:
    that S becomes Λ, plus 1/n times every way to pair x with a factor of another S. The
    number of terms is (2m − 1)!!: 105 for four S, 10395 for six.
    """
    if not words:
        return np.float64(1.0)
    (first, *rest), others = words[0], words[1:]
    moved = first @ cov
    total = _joined(moved, rest, others, cov, n)
    for k in range(len(rest)):
        inside, after = rest[: k + 1], rest[k + 1 :]
        turned = [a.T for a in reversed(inside)] + after
        pairings = _joined(moved, turned, others, cov, n)
        pairings += _joined(moved, after, [inside, *others], cov, n)
        total += pairings / n
    for place, word in enumerate(others):
        left = others[:place] + others[place + 1 :]
        for j in range(len(word)):
            cycle = word[j + 1 :] + word[: j + 1]
            for turn in (cycle, [b.T for b in reversed(cycle)]):
                total += _joined(moved, turn + rest, left, cov, n) / n
    return total


def _joined(
    moved: Array, rest: list[Array], others: Words, cov: Array, n: int
) -> Float[Array, ""]:
    """The mean of `others` times the word that starts with `moved` · `rest`[0]."""
    if not rest:
        return moved.trace() * word_mean(others, cov, n)
    return word_mean([[moved @ rest[0], *rest[1:]], *others], cov, n)


def trace_word(
    factors: Sequence[Array | None], cov: Float[Array, "d d"], n: int
) -> Float[Array, ""]:
    """The mean trace of a product of matrices, with S where `factors` has None."""
    word, matrix = [], np.eye(len(cov))
    for factor in factors:
        if factor is None:
            word.append(matrix)
            matrix = np.eye(len(cov))
        else:
            matrix = matrix @ factor
    if not word:
        return matrix.trace()
    return word_mean([[matrix @ word[0], *word[1:]]], cov, n)
