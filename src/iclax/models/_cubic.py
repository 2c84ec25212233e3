"""Linear attention on prompts that never change: a quadratic in cubic features.

One layer, whatever its heads and factors, predicts a linear function of the features
G_ij x_k of a prompt. So the squared error on any number P of fixed prompts is that of F
+ 1 equivalent rows (the R of a QR decomposition), and a training step does not depend
on P nor on the length of the prompts.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from ..prompts import Prompt
from ._linear_attention import LinearAttention


def cubic_features(
    prompts: Prompt, *, include_query: bool = False
) -> Float[np.ndarray, "b f"]:
    r"""$\frac1n G_{ij} x_{q,k}$ for i ≤ j ≤ d + 1 and k ≤ d, one row a prompt.

    `prompts` is a batch; with `include_query` G also sums over the query token.
    """
    xs, ys, query = (np.asarray(a, dtype=np.float64) for a in prompts[:3])
    tokens = np.concatenate([xs, ys[:, :, None]], 2)
    if include_query:
        asked = np.pad(query, ((0, 0), (0, 1)))[:, None]
        tokens = np.concatenate([tokens, asked], 1)
    gram = np.matmul(tokens.transpose(0, 2, 1), tokens) / ys.shape[1]
    rows, columns = np.triu_indices(gram.shape[1])
    products = gram[:, rows, columns][:, :, None] * query[:, None, :]
    return products.reshape(len(query), -1)


def cubic_coefficients(model: LinearAttention) -> Float[Array, " f"]:
    """The coefficients of `cubic_features` in the prediction of a model ("context")."""
    a, q = model.effective()
    tensor = jnp.einsum("hi,hjk->ijk", a, q)
    both = tensor + tensor.transpose(1, 0, 2)
    rows, columns = np.triu_indices(tensor.shape[0])
    halved = np.where(rows == columns, 0.5, 1.0)[:, None]
    return (both[rows, columns] * jnp.asarray(halved, both.dtype)).reshape(-1)


class FixedPromptLoss(eqx.Module):
    r"""The exact mean squared error of `LinearAttention` on a fixed set of prompts.

    $\frac1P \sum_p (\hat y_p - f_p)^2 = |R t - r|^2 + \rho^2$ with t the
    `cubic_coefficients` of the model, F = d (d+1) (d+2) / 2 of them, and [R r; 0 ρ] the
    triangular factor of the P rows (features, target)/√P: nothing cancels. Its cost is
    O(F²), whatever P and n are. `outside` is ρ², `least` the loss of the best layer
    with any number of heads. Derived in docs/models.md.
    """

    matrix: Float[Array, "f f"]
    right: Float[Array, " f"]
    outside: Float[Array, ""]
    least: Float[Array, ""]
    context_length: int = eqx.field(static=True)
    include_query: bool = eqx.field(static=True)

    @classmethod
    def of(cls, prompts: Prompt, *, include_query: bool = False) -> "FixedPromptLoss":
        """From a batch of P prompts and their noiseless targets, in float64."""
        features = cubic_features(prompts, include_query=include_query)
        targets = np.asarray(prompts.target, dtype=np.float64)
        rows = np.column_stack([features, targets]) / len(targets) ** 0.5
        missing = max(rows.shape[1] - rows.shape[0], 0)
        # With fewer prompts than features, rows of zeros change nothing.
        factor = np.linalg.qr(np.pad(rows, ((0, missing), (0, 0))), mode="r")
        matrix, right = factor[:-1, :-1], factor[:-1, -1]
        errors = matrix @ np.linalg.lstsq(matrix, right)[0] - right
        outside = factor[-1, -1] ** 2
        parts = (matrix, right, outside, errors @ errors + outside)
        n = prompts.ys.shape[1]
        return cls(*map(jnp.asarray, parts), n, include_query)

    def __call__(self, model: LinearAttention) -> Float[Array, ""]:
        """The mean squared error of `model` on the prompts.

        Raises `SettingError` where the model and the loss differ in `include_query`.
        """
        if model.include_query != self.include_query:
            raise SettingError(
                "model.include_query", f"{model.include_query}", f"{self.include_query}"
            )
        coefficients = cubic_coefficients(model)
        if model.normalization == "none":
            coefficients = self.context_length * coefficients
        return jnp.sum((self.matrix @ coefficients - self.right) ** 2) + self.outside
