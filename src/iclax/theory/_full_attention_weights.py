"""The weights of one layer of linear self-attention."""

from typing import Any, NamedTuple

from jaxtyping import Float

from .._arrays import Array, as_array, namespace
from .._errors import SettingError
from ._inputs import as_preconditioner


class Attention(NamedTuple):
    r"""The weights of one linear attention layer with h heads.

    $\hat y = \frac1n \sum_h a_h^T G Q_h x_q$ with `readout` a, shape (h, d + 1), and
    `key_query` Q, shape (h, d + 1, d); $G = \sum_i e_i e_i^T$, $e_i = (x_i; y_i)$.
    """

    readout: Float[Array, "h e"]
    key_query: Float[Array, "h e d"]


def as_attention(a: Any, q: Any) -> Attention:
    """Weights with a head axis, from one head (d + 1,), (d + 1, d) or several."""
    a, q = as_array(a), as_array(q)
    if a.ndim == 1:
        a, q = a[None], q[None]
    heads, tokens = a.shape if a.ndim == 2 else (0, 0)
    if q.shape != (heads, tokens, tokens - 1):
        raise SettingError(
            "attention weights",
            f"a of shape {a.shape} with Q of shape {q.shape}",
            "(d + 1,) with (d + 1, d), or (h, d + 1) with (h, d + 1, d)",
        )
    return Attention(a, q)


def gd_attention(gamma: Float[Array, "d d"] | Any) -> Attention:
    r"""The head that computes $x_q^T \Gamma b$: a = (0; 1), Q = (Γᵀ; 0).

    Raises `SettingError` for Γ of a wrong shape.
    """
    gamma = as_preconditioner(gamma)
    xp, dim = namespace(gamma), gamma.shape[0]
    readout = xp.concatenate([xp.zeros((1, dim)), xp.ones((1, 1))], axis=1)
    key_query = xp.concatenate([gamma.T, xp.zeros((1, dim))], axis=0)
    return Attention(readout, key_query[None])


def effective_preconditioner(a: Any, q: Any) -> Float[Array, "d d"]:
    r"""The Γ of the part of ŷ that is linear in the labels, $x_q^T \Gamma b$.

    $$\Gamma = \sum_h a_{h,y} Q_{h,x}^T + Q_{h,y} a_{h,x}^T$$

    where $a_h = (a_{h,x}; a_{h,y})$ and $Q_h = (Q_{h,x}; Q_{h,y}^T)$. Where tasks f
    and −f are equal in law this part is all that an optimal layer uses.
    """
    a, q = as_attention(a, q)
    xp = namespace(a, q)
    direct = xp.tensordot(a[:, -1], xp.swapaxes(q[:, :-1], 1, 2), 1)
    return direct + q[:, -1].T @ a[:, :-1]
