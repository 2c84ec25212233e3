r"""Any number of heads: a convex problem in cubic features of the prompt.

Heads add up to $\hat y = \sum_k x_{q,k} tr(B_k \bar G)$ with symmetric matrices $B_k$
and $\bar G = G/n$. The risk is convex in $B = (B_k)$, so that its gradient vanishes
exactly at the optimum over any number of heads; d + 1 heads reach every B.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .._arrays import Array
from .._psd import psd_solve
from ..prompts import PromptDistribution
from ._full_attention import risk_from_attention_moments
from ._full_attention_moments import AttentionMoments, attention_moments
from ._full_attention_weights import Attention, effective_preconditioner
from ._linear_algebra import conjugate_gradient
from ._units import Units


class HeadsOptimum(NamedTuple):
    r"""The best layer with any number of heads: `weights` of d + 1 heads, the exact
    `risk`, and the effective `gamma` of its part that is linear in the labels.
    """

    weights: Attention
    risk: Float[Array, ""]
    gamma: Float[Array, "d d"]


def multi_head_optimum(
    prompts: PromptDistribution, *, include_query: bool = False
) -> HeadsOptimum:
    r"""The optimum of linear self-attention over any number of heads; exact.

    Least squares in the cubic features $vec(G) \otimes x_q$: the normal equations are
    $\sum_l \Lambda_{q,kl} E[\bar G\, tr(B_l \bar G)] = E[\bar G\, y_q x_{q,k}]$. A
    system of size (d + 1)(d + 2)/2, solved once, and conjugate gradients on top of it
    with `include_query`. NumPy only. Derived in docs/theory/full-attention.md.

    Raises `AssumptionError` where the task distribution has no closed form.
    """
    m = attention_moments(prompts)
    units = Units.of(m)
    found, risk = _least_squares(units.moments(m), include_query)
    weights = units.weights_out(found)
    gamma = effective_preconditioner(*weights)
    return HeadsOptimum(weights, units.label**2 * risk, gamma)


def _least_squares(
    m: AttentionMoments, include_query: bool
) -> tuple[Attention, Float[Array, ""]]:
    """The best d + 1 heads and their risk."""
    rows, columns = np.triu_indices(m.tokens.mean.shape[0] + 1)
    system = _gram_system(m, rows, columns)

    def solve(residual: np.ndarray) -> np.ndarray:
        """The solution without the query token; with it, a good preconditioner."""
        flat = _flatten(residual, rows, columns)
        flat = psd_solve(m.query, flat)
        return _unflatten(psd_solve(system, flat.T).T, rows, columns)

    start = solve(np.stack(_targets(m)))
    if include_query:
        zero = heads_gradient(np.zeros_like(start), m, True)
        start = conjugate_gradient(
            lambda b: (heads_gradient(b, m, True) - zero) / 2, -zero / 2, solve, start
        )
    weights = Attention(np.eye(start.shape[1]), start.transpose(1, 2, 0).copy())
    return weights, risk_from_attention_moments(weights, m, include_query)


def lift(weights: Attention) -> Float[Array, "d e e"]:
    """The matrices $B_k$ of a layer: $B_k = \\sum_h sym(a_h q_{h,k}^T)$."""
    lifted = np.einsum("hs,htk->kst", *weights)
    return (lifted + lifted.transpose(0, 2, 1)) / 2


def heads_gradient(
    lifted: Float[Array, "d e e"], m: AttentionMoments, include_query: bool = False
) -> Float[Array, "d e e"]:
    r"""The gradient $2 E[(\hat y - y_q) \bar G x_{q,k}]$ of the convex risk in B.

    Zero exactly where no number of heads does better. O(d⁴) time, O(d³) memory;
    O(d⁵) time with the query token.
    """
    mixed = np.tensordot(m.query, lifted, 1)
    found = np.stack([m.gram(b) for b in mixed]) - np.stack(_targets(m))
    return 2 * (found + _query_token_part(lifted, m) if include_query else found)


def _targets(m: AttentionMoments) -> list[np.ndarray]:
    """$E[\\bar G y_q x_{q,k}]$ for each k."""
    dim = m.tokens.mean.shape[0]
    eye = np.eye(dim + 1)
    columns = np.stack([m.target(eye[s]) for s in range(dim + 1)])
    return list(columns.transpose(2, 0, 1))


def _query_token_part(lifted: np.ndarray, m: AttentionMoments) -> np.ndarray:
    r"""What $t/n$, $t = \sum_l x_l\, x^T B_l x$, adds to half the gradient.

    Three terms: t against the mean of G, ŷ − y_q against $x x^T$, and t against it.
    """
    dim, n, law = len(lifted), m.n, m.query_law
    eye, forms = np.eye(dim), lifted[:, :-1, :-1]
    gap = np.tensordot(lifted, m.mean, 2) - m.tokens.mean
    cubic = sum(law.fourth_moment(forms[k])[k] for k in range(dim))
    found = cubic[:, None, None] * m.mean[None] / n
    for k in range(dim):
        pair = np.outer(gap, eye[k])
        found[k, :-1, :-1] += law.fourth_moment((pair + pair.T) / 2) / n
        for j in range(dim):
            pair = np.outer(eye[j], eye[k])
            sixth = law.sixth_moment(forms[j], (pair + pair.T) / 2)
            found[k, :-1, :-1] += sixth / n**2
    return found


def _gram_system(m: AttentionMoments, rows, columns) -> np.ndarray:
    """`AttentionMoments.gram` as a matrix on symmetric matrices."""
    size = len(rows)
    system = np.empty((size, size))
    for index in range(size):
        unit = _unflatten(np.eye(1, size, index), rows, columns)[0]
        system[index] = _flatten(m.gram(unit)[None], rows, columns)[0]
    return (system + system.T) / 2


def _flatten(matrices: np.ndarray, rows, columns) -> np.ndarray:
    """Symmetric matrices in an orthonormal basis: off-diagonal entries times √2."""
    return matrices[:, rows, columns] * np.where(rows == columns, 1.0, 2**0.5)


def _unflatten(flat: np.ndarray, rows, columns) -> np.ndarray:
    size = rows[-1] + 1
    matrices = np.zeros((len(flat), size, size))
    values = flat * np.where(rows == columns, 1.0, 2**-0.5)
    matrices[:, rows, columns] = values
    matrices[:, columns, rows] = values
    return matrices
