"""A GPT-2 style decoder that reads a prompt and predicts at each of its points."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from .._threefry import normals
from ..prompts import Prompt
from ._gpt_layers import PLAIN, Layers, quick

# (layers, heads, width) of Garg et al. (2022).
SIZES = {"tiny": (3, 2, 64), "small": (6, 4, 128), "standard": (12, 8, 256)}
ENCODINGS = ("interleaved", "padded", "joint")
ATTENTIONS = ("softmax", "relu")
_QUERY, _POINTS = slice(-1, None), slice(None, None, 2)  # tokens with a prediction


class Block(eqx.Module):
    """The weights of all L blocks, stacked: pre-LN attention, then pre-LN MLP."""

    norm_1: Float[Array, "l 2 w"]  # scale, shift
    attend: Float[Array, "l w 3*w"]  # queries, keys, values
    attend_bias: Float[Array, "l 3*w"]
    project: Float[Array, "l w w"]
    project_bias: Float[Array, "l w"]
    norm_2: Float[Array, "l 2 w"] | None
    expand: Float[Array, "l w f"] | None
    expand_bias: Float[Array, "l f"] | None
    contract: Float[Array, "l f w"] | None
    contract_bias: Float[Array, "l w"] | None


class GPT(eqx.Module):
    r"""A decoder-only transformer in the shape of GPT-2, for prompts of real numbers.

    `encoding` says how a prompt becomes tokens: "interleaved" is x₁, (y₁, 0, …, 0), x₂,
    … in R^d (Garg et al. 2022), "padded" is (0, x₁), (y₁, 0), … in R^{d+1} (Raventós et
    al. 2023), "joint" is (x₁, y₁), …, (x_q, 0). The first two predict at every x, the
    last at the query only. `attention` is "softmax" or "relu" (ReLU scores over the
    number of tokens seen, Bai et al. 2023); `mlp=0` in `init` leaves the MLPs out.
    """

    read_in: Float[Array, "i w"]
    read_in_bias: Float[Array, " w"] | None
    positions: Float[Array, "t w"]
    blocks: Block
    norm: Float[Array, "2 w"]
    read_out: Float[Array, "w 1"]
    read_out_bias: Float[Array, " 1"] | None
    heads: int = eqx.field(static=True)
    encoding: Literal["interleaved", "padded", "joint"] = eqx.field(static=True)
    attention: Literal["softmax", "relu"] = eqx.field(static=True)

    @classmethod
    def init(
        cls,
        dim: int,
        max_points: int,
        *,
        size: str = "tiny",
        layers: int | None = None,
        heads: int | None = None,
        width: int | None = None,
        mlp: int = 4,
        encoding: str = "interleaved",
        attention: str = "softmax",
        bias: bool = True,
        key: Any,
    ) -> "GPT":
        """GPT-2's initialization for prompts of at most `max_points` points (n + 1).

        `size` is "tiny", "small" or "standard" (Garg et al. 2022), each number of which
        can be replaced; the MLPs are `mlp` times as wide as the stream. Weights have
        standard deviation 0.02, those that write to the stream 0.02/√(2L), read-in and
        read-out 1/√(3 · inputs); `bias=False` takes the bias off these two. Raises
        `SettingError` for names and sizes that do not fit.
        """
        _check(size, encoding, attention)
        layers, heads, width = (
            own if own is not None else named
            for own, named in zip((layers, heads, width), SIZES[size], strict=True)
        )
        _check_sizes(layers, heads, width, mlp)
        inputs = dim + (encoding != "interleaved")
        length = max_points if encoding == "joint" else 2 * max_points
        read_in, positions, read_out, *blocks = normals(
            key,
            (inputs, width),
            (length, width),
            (width, 1),
            (layers, width, 3 * width),
            (layers, width, width),
            (layers, width, mlp * width),
            (layers, mlp * width, width),
        )
        return cls(
            read_in=read_in / (3 * inputs) ** 0.5,
            read_in_bias=jnp.zeros(width) if bias else None,
            positions=0.02 * positions,
            blocks=_blocks(*blocks),
            norm=_norms(width),
            read_out=read_out / (3 * width) ** 0.5,
            read_out_bias=jnp.zeros(1) if bias else None,
            heads=heads,
            encoding=encoding,
            attention=attention,
        )

    def __call__(self, prompt: Prompt) -> Float[Array, ""]:
        """The prediction at the query of one prompt."""
        return self._outputs(_alone(prompt), _QUERY, PLAIN)[0, 0]

    def prefixes(self, prompt: Prompt) -> Float[Array, " m"]:
        """The predictions at all m = n + 1 points, each from the examples before it."""
        self._check_prefixes()
        return self._outputs(_alone(prompt), _POINTS, PLAIN)[0]

    def batch(self, prompts: Prompt) -> Float[Array, " b"]:
        """Equal to `vmap` of the model, and faster on CPUs.

        All tokens of a batch are rows of one flat matrix product in each dense layer,
        and slopes are written for CPUs. Reverse-mode derivatives only, there.
        """
        return self._outputs(prompts, _QUERY, quick())[:, 0]

    def batch_prefixes(self, prompts: Prompt) -> Float[Array, "b m"]:
        """Equal to `vmap` of `prefixes`; as `batch`."""
        self._check_prefixes()
        return self._outputs(prompts, _POINTS, quick())

    def _check_prefixes(self) -> None:
        if self.encoding == "joint":
            raise SettingError(
                "model.encoding",
                "'joint', whose tokens hold the labels to be predicted",
                "interleaved or padded for predictions at every point",
            )

    def _outputs(
        self, prompts: Prompt, asked: slice, layers: Layers
    ) -> Float[Array, "b a"]:
        """The read-out at the tokens that are asked for."""
        tokens = self.tokens(prompts)
        b, t, _ = tokens.shape
        if t > self.positions.shape[0]:
            raise SettingError(
                "prompt.context_length",
                f"{prompts.ys.shape[1]} examples",
                f"at most {self.positions.shape[0]} tokens in this model",
            )
        flat = tokens.reshape(b * t, -1)
        stream = layers.dense(flat, self.read_in, self.read_in_bias)
        stream = stream + jnp.tile(self.positions[:t], (b, 1))
        *inner, last = (
            jax.tree.map(lambda leaf, i=layer: leaf[i], self.blocks)
            for layer in range(self.blocks.project.shape[0])
        )
        for block in inner:
            stream = self._block(stream, block, b, slice(None), layers)
        # Behind the last attention nobody reads the other tokens.
        stream = self._block(stream, last, b, asked, layers)
        normed = layers.norm(stream, self.norm)
        out = layers.dense(normed, self.read_out, self.read_out_bias)
        return out.reshape(b, -1)

    def tokens(self, prompts: Prompt) -> Float[Array, "b t i"]:
        """A batch of prompts in this model's encoding, ending with the query."""
        at = jnp.concatenate([prompts.xs, prompts.query[:, None]], 1)
        ys = jnp.pad(prompts.ys, ((0, 0), (0, 1)))[:, :, None]
        if self.encoding == "joint":
            return jnp.concatenate([at, ys], 2)
        b, m, d = at.shape
        if self.encoding == "interleaved":
            labels = jnp.pad(ys, ((0, 0), (0, 0), (0, d - 1)))
        else:
            at = jnp.pad(at, ((0, 0), (0, 0), (1, 0)))
            labels = jnp.pad(ys, ((0, 0), (0, 0), (0, d)))
        return jnp.stack([at, labels], 2).reshape(b, 2 * m, -1)[:, :-1]

    def _block(
        self,
        stream: Float[Array, "bt w"],
        block: Block,
        batch: int,
        asked: slice,
        layers: Layers,
    ) -> Float[Array, "ba w"]:
        """One block, of which the tokens `asked` go on."""
        dense, norm, attend = layers
        normed = norm(stream, block.norm_1)
        seen = jnp.tril(jnp.ones((len(normed) // batch,) * 2, bool))[asked]
        shape = (batch, -1, stream.shape[1])
        if asked == slice(None):
            mixed = dense(normed, block.attend, block.attend_bias)
            q, k, v = jnp.split(mixed.reshape(batch, -1, 3 * shape[2]), 3, axis=2)
        else:
            at = [part.reshape(shape)[:, asked] for part in (stream, normed)]
            stream, own = (part.reshape(-1, shape[2]) for part in at)
            w = shape[2]
            q = dense(own, block.attend[:, :w], block.attend_bias[:w]).reshape(shape)
            kv = dense(normed, block.attend[:, w:], block.attend_bias[w:])
            k, v = jnp.split(kv.reshape(batch, -1, 2 * w), 2, axis=2)
        read = attend(q, k, v, seen, self.heads, self.attention)
        read = read.reshape(-1, read.shape[2])
        stream = stream + dense(read, block.project, block.project_bias)
        if block.expand is None:
            return stream
        normed = norm(stream, block.norm_2)
        hidden = jax.nn.gelu(dense(normed, block.expand, block.expand_bias))
        return stream + dense(hidden, block.contract, block.contract_bias)


def _alone(prompt: Prompt) -> Prompt:
    return jax.tree.map(lambda leaf: leaf[None], prompt)


def _norms(*shape: int) -> Float[Array, "..."]:
    """Scale one and shift zero: (…, 2, width)."""
    *batch, width = shape
    return jnp.stack([jnp.ones((*batch, width)), jnp.zeros((*batch, width))], -2)


def _blocks(
    attend: Float[Array, "l w 3*w"],
    project: Float[Array, "l w w"],
    expand: Float[Array, "l w f"],
    contract: Float[Array, "l f w"],
) -> Block:
    """Blocks with weights in proportion to these standard normals."""
    layers, width, hidden = expand.shape
    write = 0.02 / (2 * layers) ** 0.5
    some = hidden > 0
    return Block(
        norm_1=_norms(layers, width),
        attend=0.02 * attend,
        attend_bias=jnp.zeros((layers, 3 * width)),
        project=write * project,
        project_bias=jnp.zeros((layers, width)),
        norm_2=_norms(layers, width) if some else None,
        expand=0.02 * expand if some else None,
        expand_bias=jnp.zeros((layers, hidden)) if some else None,
        contract=write * contract if some else None,
        contract_bias=jnp.zeros((layers, width)) if some else None,
    )


def _check(size: str, encoding: str, attention: str) -> None:
    for name, value, allowed in (
        ("size", size, tuple(SIZES)),
        ("encoding", encoding, ENCODINGS),
        ("attention", attention, ATTENTIONS),
    ):
        if value not in allowed:
            raise SettingError(f"model.{name}", repr(value), ", ".join(allowed))


def _check_sizes(layers: int, heads: int, width: int, mlp: int) -> None:
    if min(layers, heads, width) < 1 or mlp < 0 or width % heads:
        raise SettingError(
            "model",
            f"{layers} layers, {heads} heads, width {width}, mlp {mlp}",
            "sizes of at least 1 with a width that heads divide (mlp may be 0)",
        )
