"""One layer of linear self-attention that reads out the prediction at the query."""

import warnings
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from .._arrays import Array, is_traced
from .._errors import SettingError
from .._forms import AttentionForm
from .._threefry import normals
from ..prompts import Prompt
from ._batch_last import LONGEST, add, gram_form

Normalization = Literal["context", "none"]
Parametrization = Literal["separate", "low_rank", "merged", "merged_columns"]


_PARTIAL = 0.01  # relative size from which on Γ does not stand for the layer


class PartialForm(UserWarning):
    """A preconditioner that leaves out part of the layer it was taken from."""


class LinearAttention(eqx.Module):
    r"""One layer of H-head linear self-attention, read out at the query.

    Tokens $e_i = (x_i; y_i)$, query token $e_q = (x_q; 0)$, width e = d + 1:

    $$\hat y = \frac1n \sum_h \sum_{i \le n} (r_h^T V_h e_i)\,
    (e_i^T K_h^T Q_h e_q) = \frac1n \sum_h a_h^T G Q_h x_q$$

    with $G = \sum_i e_i e_i^T$, $a_h = V_h^T r_h$ and, in the last form, $Q_h$ the
    first d columns of $K_h^T Q_h$ (`effective`). `query` is Q, `key` K, `value` V and
    `readout` r; a matrix that is `None` is the identity, so that the four
    parametrizations of the literature are choices of what is there. `normalization`
    divides by n ("context") or not ("none"); `include_query` adds the query token to
    the sum, as Zhang, Frei and Bartlett do.
    """

    query: Float[Array, "h m f"]
    readout: Float[Array, "h v"]
    key: Float[Array, "h m e"] | None
    value: Float[Array, "h v e"] | None
    normalization: Normalization = eqx.field(static=True, default="context")
    include_query: bool = eqx.field(static=True, default=False)

    @classmethod
    def init(
        cls,
        dim: int,
        *,
        heads: int = 1,
        key_dim: int | None = None,
        parametrization: Parametrization | str = "separate",
        init_scale: float = 0.1,
        normalization: Normalization | str = "context",
        include_query: bool = False,
        key: Any,
    ) -> "LinearAttention":
        """Every entry of every matrix drawn from N(0, `init_scale`²).

        `parametrization`: "separate" has K, Q, V ∈ R^{m × (d+1)} and r ∈ R^m, with
        m = `key_dim` (d + 1 by default); "low_rank" has K, Q of rank m and a ∈ R^{d+1}
        in place of V and r; "merged" has KᵀQ ∈ R^{(d+1) × (d+1)} and a;
        "merged_columns" only the first d columns of KᵀQ, the others having no effect.
        Raises `SettingError` for a size below 1 or an unknown name.
        """
        _check_sizes(dim, heads, key_dim, parametrization, normalization)
        e, factored = dim + 1, parametrization in ("separate", "low_rank")
        m = (key_dim or e) if factored else e
        v = m if parametrization == "separate" else e
        columns = dim if parametrization == "merged_columns" else e
        shapes = [(heads, m, columns), (heads, v)]
        shapes += [(heads, m, e)] if factored else []
        shapes += [(heads, v, e)] if parametrization == "separate" else []
        query, readout, *rest = normals(key, *shapes)
        return cls(
            query=init_scale * query,
            readout=init_scale * readout,
            key=init_scale * rest[0] if factored else None,
            value=init_scale * rest[1] if parametrization == "separate" else None,
            normalization=normalization,
            include_query=include_query,
        )

    @classmethod
    def from_preconditioner(cls, gamma: Float[Array, "d d"]) -> "LinearAttention":
        """One merged head that computes x_qᵀ Γ b exactly (von Oswald et al., 2023)."""
        gamma = jnp.asarray(gamma)
        dim = gamma.shape[0]
        query = jnp.zeros((1, dim + 1, dim), gamma.dtype).at[0, :dim].set(gamma.T)
        readout = jnp.zeros((1, dim + 1), gamma.dtype).at[0, dim].set(1.0)
        return cls(query=query, readout=readout, key=None, value=None)

    @property
    def dim(self) -> int:
        """The dimension d of the covariates."""
        with_tokens = next(
            w for w in (self.key, self.value, self.readout) if w is not None
        )
        return with_tokens.shape[-1] - 1

    def effective(self) -> tuple[Float[Array, "h e"], Float[Array, "h e d"]]:
        r"""(a, Q) of $\hat y = \frac1n \sum_h a_h^T G Q_h x_q$: all that matters."""
        query = self.query[:, :, : self.dim]
        a, q = self.readout, query
        if self.value is not None:
            a = jnp.einsum("hv,hve->he", self.readout, self.value)
        if self.key is not None:
            q = jnp.einsum("hme,hmd->hed", self.key, query)
        return a, q

    def form(self) -> AttentionForm:
        """What theory needs to know: all of the layer; see `theory.risk`."""
        divisor = None if self.normalization == "context" else 1
        return AttentionForm(*self.effective(), self.include_query, divisor)

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        """The prediction at the query of one prompt; `jax.vmap` it for a batch."""
        xs, ys, query = prompt.xs, prompt.ys, prompt.query
        n, d = xs.shape
        a, q = self.effective()
        if _gram_is_cheaper(n, d, heads=len(a)):
            tokens = jnp.concatenate([xs, ys[:, None]], 1)
            return self.from_statistics(tokens.T @ tokens, query, n)
        t = q @ query
        scores = xs @ t[:, :d].T + jnp.outer(ys, t[:, d])
        values = xs @ a[:, :d].T + jnp.outer(ys, a[:, d])
        total = jnp.sum(scores * values)
        if self.include_query:
            total = total + jnp.sum((a[:, :d] @ query) * (t[:, :d] @ query))
        return total / n if self.normalization == "context" else total

    def batch(self, prompts: Prompt) -> Float[Array, " b"]:
        """Equal to `vmap` of the model, and several times faster on CPUs.

        Sums over examples and coordinates are written out for the whole batch. Where
        prompts are longer than that is worth, it is `vmap`.
        """
        (_, n, d), (a, q) = prompts.xs.shape, self.effective()
        if max(n, d) > LONGEST:
            return jax.vmap(self)(prompts)
        xs, ys, query = prompts.xs.transpose(1, 2, 0), prompts.ys.T, prompts.query.T
        totals = []
        for readout, key_query in zip(a, q, strict=True):
            t = key_query @ query
            totals.append(gram_form(readout, t, xs, ys))
            if self.include_query:
                totals.append((readout[:d] @ query) * jnp.sum(t[:d] * query, 0))
        total = add(totals)
        return total / n if self.normalization == "context" else total

    def from_statistics(
        self, gram: Float[Array, "e e"], query: Float[Array, " d"], context_length: int
    ) -> Float[Array, ""]:
        r"""The prediction from $G = \sum_{i \le n} e_i e_i^T$ (`gram`, a plain sum).

        G is a sufficient statistic: equal to calling the model on the prompt.
        """
        a, q = self.effective()
        t = q @ query
        total = jnp.sum((a @ gram) * t)
        if self.include_query:
            d = self.dim
            total = total + jnp.sum((a[:, :d] @ query) * (t[:, :d] @ query))
        return total / context_length if self.normalization == "context" else total

    def preconditioner(self, context_length: int | None = None) -> Float[Array, "d d"]:
        r"""Γ of the part of the prediction that is linear in y, $x_q^T \Gamma b$.

        $\Gamma = \sum_h a_{y,h} Q_{x,h}^T + Q_{y,h} a_{x,h}^T$ with the x and y blocks
        of `effective`; in the 1/n convention, for which a model without normalization
        needs `context_length`. Raises `SettingError` where that is missing.

        The layer may compute more: `vanishing_blocks` says how much, and a warning
        (`PartialForm`) where it is above 1 %. `theory.risk` has the risk of all of it.
        """
        if self.normalization == "none" and context_length is None:
            raise SettingError(
                "context_length", "none", "n, as this model does not divide by it"
            )
        left_out = self.vanishing_blocks()
        if not is_traced(left_out) and left_out > _PARTIAL:
            warnings.warn(
                f"Γ leaves out parts of the layer of relative size {left_out:.2g} "
                "(`vanishing_blocks`); theory.risk(layer, prompts) takes all of it",
                PartialForm,
                stacklevel=2,
            )
        (a_x, a_y), (q_x, q_y) = self._blocks()
        gamma = jnp.einsum("h,hjd->dj", a_y, q_x) + q_y.T @ a_x
        return gamma if self.normalization == "context" else context_length * gamma

    def vanishing_blocks(self) -> Float[Array, ""]:
        r"""Size of what is not of GD form, relative to the part that is.

        Beside $x_q^T \Gamma b$ the prediction has a part without y, with coefficients
        $\mathrm{sym} \sum_h a_{x,h} \otimes Q_{x,h}$, and one quadratic in y, with
        $\sum_h a_{y,h} Q_{y,h}$. The result is the Frobenius norm of both over that of
        Γ: 0 at a minimizer for tasks that are symmetric in law, whatever the number of
        heads and the parametrization. For one head of small $a_x$ and $Q_y$ it is about
        $(|a_x|^2 / a_y^2 + \|Q_y\|^2 / \|Q_x\|^2)^{1/2}$.
        """
        (a_x, a_y), (q_x, q_y) = self._blocks()
        without_y = jnp.einsum("hi,hjd->ijd", a_x, q_x)
        without_y = (without_y + without_y.transpose(1, 0, 2)) / 2
        quadratic = a_y @ q_y
        gamma = jnp.einsum("h,hjd->dj", a_y, q_x) + q_y.T @ a_x
        rest = jnp.sum(without_y**2) + jnp.sum(quadratic**2)
        return jnp.sqrt(rest / jnp.sum(gamma**2))

    def _blocks(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """The x and y blocks of a and of Q."""
        d = self.dim
        a, q = self.effective()
        return (a[:, :d], a[:, d]), (q[:, :d], q[:, d])


def _gram_is_cheaper(n: int, d: int, heads: int) -> bool:
    """Whether forming the (d+1)² Gram matrix takes fewer operations than the scores."""
    e = d + 1
    return n * e**2 + heads * e**2 < 2 * heads * n * e


def _check_sizes(
    dim: int,
    heads: int,
    key_dim: int | None,
    parametrization: str,
    normalization: str,
) -> None:
    for name, size in (("dim", dim), ("heads", heads), ("key_dim", key_dim)):
        if size is not None and size < 1:
            raise SettingError(f"model.{name}", f"{size}", "a whole number above 0")
    allowed = ("separate", "low_rank", "merged", "merged_columns")
    if parametrization not in allowed:
        raise SettingError(
            "model.parametrization", f"{parametrization!r}", ", ".join(allowed)
        )
    if normalization not in ("context", "none"):
        raise SettingError("model.normalization", f"{normalization!r}", "context, none")
    if key_dim is not None and parametrization.startswith("merged"):
        raise SettingError(
            "model.key_dim", f"{key_dim}", "no value with merged keys and queries"
        )
