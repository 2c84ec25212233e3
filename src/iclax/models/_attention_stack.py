"""Attention layers on the residual stream of (x; y) tokens, any depth, no MLP."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from .._forms import AttentionForm
from ..prompts import Prompt
from ._batch_last import LONGEST, add, product

Attention = Literal["linear", "softmax", "relu"]
_ATTENTIONS = ("linear", "softmax", "relu")
_NORMALIZATIONS = ("context", "none")


class AttentionStack(eqx.Module):
    r"""L layers of H-head attention from every token to the n context tokens.

    Tokens $e_i = (x_i; y_i)$ and $e_q = (x_q; 0)$, width e = d + 1; each layer does

    $$e_j \leftarrow e_j + \sum_h P_h \sum_{i \le n}
    \phi(e_i^T K_h^T Q_h e_j)\, V_h e_i$$

    and the prediction is `sign` times the y entry of the query after the last layer.
    `attention` φ is "linear" (divided by n where `normalization` is "context"), "relu"
    (the same), or "softmax" over i of the scores over √m. `value` and `key` may be
    `None`, which stands for the identity ("merged" weights: `project` is P and `query`
    KᵀQ). A stack with one set of weights and `layers` > 1 is looped (recurrent).
    `residual=False` leaves out the first e_j of each layer; `include_query` lets tokens
    attend to the query token too.

    Ahn et al. (2023): merged, "context", sign −1. Von Oswald et al. (2023): separate,
    "none", sign −1.
    """

    query: Float[Array, "l h m e"]
    project: Float[Array, "l h e v"]
    key: Float[Array, "l h m e"] | None
    value: Float[Array, "l h v e"] | None
    layers: int = eqx.field(static=True)
    attention: Attention = eqx.field(static=True, default="linear")
    normalization: str = eqx.field(static=True, default="context")
    sign: float = eqx.field(static=True, default=1.0)
    residual: bool = eqx.field(static=True, default=True)
    include_query: bool = eqx.field(static=True, default=False)

    @classmethod
    def init(
        cls,
        dim: int,
        *,
        layers: int = 1,
        heads: int = 1,
        key_dim: int | None = None,
        merged: bool = True,
        looped: bool = False,
        init_scale: float = 0.1,
        key: Any,
        **options: Any,
    ) -> "AttentionStack":
        """Every entry of every matrix drawn from N(0, `init_scale`²).

        `merged` weights have K = V = I; else K, Q, V ∈ R^{m × (d+1)} and P ∈
        R^{(d+1) × m} with m = `key_dim` (d + 1 by default). `looped` shares one set of
        weights among the layers. Further `options` are the fields of the class. Raises
        `SettingError` for a size below 1 or an unknown name.
        """
        _check(dim, layers, heads, key_dim, merged, options)
        e, own = dim + 1, 1 if looped else layers
        m = key_dim or e
        keys = jr.split(key, 4)

        def draw(index: int, *shape: int) -> Float[Array, "..."]:
            return init_scale * jr.normal(keys[index], (own, heads, *shape))

        return cls(
            query=draw(0, m, e),
            project=draw(1, e, m),
            key=None if merged else draw(2, m, e),
            value=None if merged else draw(3, m, e),
            layers=layers,
            **options,
        )

    @classmethod
    def gradient_descent(
        cls, dim: int, step_sizes: Any, curvatures: Any = 0.0
    ) -> "AttentionStack":
        """The weights with which linear attention computes `GradientDescent` or GD++.

        One layer a step (von Oswald et al. 2023, in the 1/n convention).
        """
        step_sizes = jnp.atleast_1d(jnp.asarray(step_sizes))
        curvatures = jnp.broadcast_to(jnp.asarray(curvatures), step_sizes.shape)
        eye = jnp.eye(dim + 1).at[dim, dim].set(0.0)
        layers = step_sizes.shape[0]
        last = jnp.eye(dim + 1)[dim]
        project = -curvatures[:, None, None] * eye[None]
        project = project - step_sizes[:, None, None] * jnp.outer(last, last)[None]
        query = jnp.broadcast_to(eye, (layers, dim + 1, dim + 1))
        return cls(query[:, None], project[:, None], None, None, layers, sign=-1.0)

    def form(self) -> AttentionForm | None:
        """One linear layer as theory knows it; None for any other stack."""
        if self.layers > 1 or self.attention != "linear":
            return None
        d = self.query.shape[-1] - 1
        a, q = self.sign * self.project[0, :, d], self.query[0, :, :, :d]
        if self.value is not None:
            a = jnp.einsum("hv,hve->he", a, self.value[0])
        if self.key is not None:
            q = jnp.einsum("hme,hmd->hed", self.key[0], q)
        divisor = None if self.normalization == "context" else 1
        return AttentionForm(a, q, self.include_query, divisor)

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        """The prediction at the query of one prompt; `jax.vmap` it for a batch."""
        query = jnp.append(prompt.query, 0.0)
        tokens = jnp.concatenate([prompt.xs, prompt.ys[:, None]], 1)
        if self.attention == "linear" and not self.include_query:
            return self.from_statistics(tokens.T @ tokens, prompt.query, len(tokens))
        stream = jnp.concatenate([tokens, query[None]])
        for layer in range(self.layers):
            stream = self._layer(layer, stream)
        return self.sign * stream[-1, -1]

    def batch(self, prompts: Prompt) -> Float[Array, " b"]:
        """Equal to `vmap` of the model; for linear attention much faster on CPUs.

        Layers act on the Gram matrices of the whole batch, sums over short axes written
        out. Where prompts are longer than that is worth, it is `vmap`.
        """
        _, n, d = prompts.xs.shape
        if self.attention != "linear" or self.include_query or max(n, d) >= LONGEST:
            return jax.vmap(self)(prompts)
        tokens = jnp.concatenate([prompts.xs, prompts.ys[:, :, None]], 2)
        tokens = tokens.transpose(1, 2, 0)
        gram = product(tokens.transpose(1, 0, 2), tokens)
        token = jnp.pad(prompts.query.T, ((0, 1), (0, 0)))[:, None]
        scale = 1 / n if self.normalization == "context" else 1.0
        eye = jnp.eye(d + 1, dtype=token.dtype)[:, :, None] * self.residual
        for layer in range(self.layers):
            left, right = self._merged(layer)
            move = eye + scale * add(
                jnp.einsum("ef,fgb,gk->ekb", p, gram, q, optimize="optimal")
                for p, q in zip(left, right, strict=True)
            )
            if layer + 1 == self.layers:
                return self.sign * product(move[-1:], token)[0, 0]
            gram = product(product(move, gram), move.transpose(1, 0, 2))
            token = product(move, token)
        raise AssertionError("a stack has at least one layer")

    def from_statistics(
        self, gram: Float[Array, "e e"], query: Float[Array, " d"], context_length: int
    ) -> Float[Array, ""]:
        r"""The prediction of linear attention from $G = \sum_{i \le n} e_i e_i^T$.

        Every token goes through the same map $A = I + \frac1n \sum_h P_h V_h G K_h^T
        Q_h$, so that a layer is $G \leftarrow A G A^T$, $e_q \leftarrow A e_q$: O(d³) a
        layer, whatever n is.
        """
        if self.attention != "linear" or self.include_query:
            raise SettingError(
                "model", "another attention", "linear, without the query in its sum"
            )
        scale = 1 / context_length if self.normalization == "context" else 1.0
        token = jnp.append(query, 0.0)
        eye = jnp.eye(len(token), dtype=token.dtype) * self.residual
        for layer in range(self.layers):
            left, right = self._merged(layer)
            move = eye + scale * jnp.einsum("hef,fg,hgk->ek", left, gram, right)
            if layer + 1 == self.layers:
                return self.sign * (move[-1] @ token)
            gram, token = move @ gram @ move.T, move @ token
        raise AssertionError("a stack has at least one layer")

    def _layer(self, layer: int, stream: Float[Array, "t e"]) -> Float[Array, "t e"]:
        """All tokens after one layer of token-to-token attention."""
        seen = stream if self.include_query else stream[:-1]
        i = layer % self.query.shape[0]
        queries = jnp.einsum("te,hme->htm", stream, self.query[i])
        keys, values = seen[None], seen[None]
        if self.key is not None:
            keys = jnp.einsum("se,hme->hsm", seen, self.key[i])
        if self.value is not None:
            values = jnp.einsum("se,hve->hsv", seen, self.value[i])
        scores = queries @ keys.transpose(0, 2, 1)
        weights = self._weights(scores, queries.shape[2], len(stream) - 1)
        moves = jnp.einsum("htv,hev->te", weights @ values, self.project[i])
        return stream + moves if self.residual else moves

    def _weights(
        self, scores: Float[Array, "h t s"], width: int, n: int
    ) -> Float[Array, "h t s"]:
        if self.attention == "softmax":
            return jax.nn.softmax(scores / width**0.5, axis=2)
        scores = jax.nn.relu(scores) if self.attention == "relu" else scores
        return scores / n if self.normalization == "context" else scores

    def _merged(
        self, layer: int
    ) -> tuple[Float[Array, "h e e"], Float[Array, "h e e"]]:
        """(P V, Kᵀ Q) of each head of a layer."""
        i = layer % self.query.shape[0]
        left, right = self.project[i], self.query[i]
        if self.value is not None:
            left = left @ self.value[i]
        if self.key is not None:
            right = self.key[i].transpose(0, 2, 1) @ right
        return left, right


def _check(
    dim: int,
    layers: int,
    heads: int,
    key_dim: int | None,
    merged: bool,
    options: dict[str, Any],
) -> None:
    sizes = (("dim", dim), ("layers", layers), ("heads", heads), ("key_dim", key_dim))
    for name, size in sizes:
        if size is not None and size < 1:
            raise SettingError(f"model.{name}", f"{size}", "a whole number above 0")
    if merged and key_dim is not None:
        raise SettingError("model.key_dim", f"{key_dim}", "no value if merged")
    for name, allowed in (
        ("attention", _ATTENTIONS),
        ("normalization", _NORMALIZATIONS),
    ):
        if name in options and options[name] not in allowed:
            raise SettingError(f"model.{name}", repr(options[name]), ", ".join(allowed))
