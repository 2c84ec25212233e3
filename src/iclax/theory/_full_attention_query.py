"""What the query token adds to linear attention when it is inside the sum.

With $e_q = (x_q; 0)$ in G the output gains $t/n$, where
$t = \\sum_h (a_{h,x} \\cdot x_q)(x_q^T Q_{h,x} x_q)$ is a cubic form in the query.
"""

from collections.abc import Callable

from jaxtyping import Float

from .._arrays import Array, namespace
from ._full_attention_moments import AttentionMoments
from ._full_attention_weights import Attention


def query_token_risk(weights: Attention, m: AttentionMoments) -> Float[Array, ""]:
    r"""$\frac2n E[t(\hat y - y_q)] + \frac1{n^2} E t^2$, ŷ without the query token."""
    a, forms, gap, _ = _parts(weights, m)
    value = namespace(*weights, m.cross).zeros(())
    for h in range(len(a)):
        value = value + 2 / m.n * gap @ m.query_law.fourth_moment(forms[h]) @ a[h]
        for k in range(len(a)):
            sixth = m.query_law.sixth_moment(forms[h], forms[k])
            value = value + a[h] @ sixth @ a[k] / m.n**2
    return value


def query_token_gradient(weights: Attention, m: AttentionMoments) -> Attention:
    """The gradient of `query_token_risk`; fourth and sixth moments are self-adjoint."""
    a, forms, gap, xp = _parts(weights, m)
    law, heads = m.query_law, range(len(a))
    cubic = sum(law.fourth_moment(forms[h]) @ a[h] for h in heads)
    in_a, in_q = [], []
    for h in heads:
        in_x = 2 / m.n * law.fourth_moment(forms[h]) @ gap
        form = 2 / m.n * law.fourth_moment(_symmetric(xp.outer(gap, a[h])))
        for k in heads:
            in_x = in_x + 2 / m.n**2 * law.sixth_moment(forms[h], forms[k]) @ a[k]
            pair = _symmetric(xp.outer(a[h], a[k]))
            form = form + 2 / m.n**2 * law.sixth_moment(pair, forms[k])
        edge, row = xp.zeros((1,)), xp.zeros((1, len(gap)))
        pulled = m.mean @ weights.readout[h]
        in_a.append(
            xp.concatenate([in_x, edge])
            + 2 / m.n * m.mean @ (weights.key_query[h] @ cubic)
        )
        in_q.append(xp.concatenate([form, row]) + 2 / m.n * xp.outer(pulled, cubic))
    return Attention(xp.stack(in_a), xp.stack(in_q))


def query_token_system(
    readout: Float[Array, " e"], m: AttentionMoments
) -> tuple[Callable[[Array], Array], Float[Array, "e d"]]:
    """Half the gradient of `query_token_risk` in the Q of one head with read-out a.

    It is linear(Q) − constant: returns the two parts.
    """
    a, pulled, law = readout[:-1], m.mean @ readout, m.query_law
    xp = namespace(readout, m.cross)
    row, square = xp.zeros((1, a.shape[0])), xp.outer(a, a)

    def on_x(vector: Array) -> Array:
        form = law.fourth_moment(_symmetric(xp.outer(vector, a))) / m.n
        return xp.concatenate([form, row])

    def linear(q: Array) -> Array:
        form = _symmetric(q[:-1])
        cubic = law.fourth_moment(form) @ a / m.n
        sixth = xp.concatenate([law.sixth_moment(square, form) / m.n**2, row])
        return xp.outer(pulled, cubic) + on_x(q.T @ pulled) + sixth

    return linear, on_x(m.tokens.mean)


def _parts(weights: Attention, m: AttentionMoments):
    """a_x and sym Q_x of each head, and E[ŷ | x_q] − μ·x_q as a vector on x_q."""
    a, q = weights
    xp = namespace(a, q, m.cross)
    forms = (q[:, :-1] + xp.swapaxes(q[:, :-1], 1, 2)) / 2
    gap = sum(q[h].T @ (m.mean @ a[h]) for h in range(len(a))) - m.tokens.mean
    return a[:, :-1], forms, gap, xp


def _symmetric(a: Float[Array, "d d"]) -> Float[Array, "d d"]:
    return (a + a.T) / 2
