"""The [model] table: one class for each kind of model, and one for a user's own."""

from typing import ClassVar, Literal

from ._base import Count, Positive, Table, Whole, one_of
from ._own import OwnTable


class LinearAttentionTable(Table):
    """Linear self-attention: W_K, W_Q, W_V and a read-out, random initialization."""

    kind: Literal["linear_attention"] = "linear_attention"
    heads: Count = 1
    """Number of heads."""
    include_query: bool = False
    """Whether the query token is in the attention sum too."""
    parametrization: Literal["separate", "low_rank", "merged", "merged_columns"] = (
        "separate"
    )
    """Which products of matrices are weights of their own (docs/models.md)."""
    normalization: Literal["context", "none"] = "context"
    """Whether the sum over the context is divided by n ("context")."""
    init_scale: Positive = 0.3
    """Size of the random initialization."""
    reference: ClassVar[str] = "von Oswald et al. 2023; Mahankali et al. 2023"


class AttentionStackTable(Table):
    """Layers of linear, softmax or ReLU attention on the residual stream, no MLP."""

    kind: Literal["attention_stack"]
    layers: Count = 2
    """Number of layers."""
    heads: Count = 1
    """Heads of each layer."""
    attention: Literal["linear", "softmax", "relu"] = "linear"
    """What is done with the scores of queries and keys."""
    looped: bool = False
    """Whether all layers share one set of weights."""
    merged: bool = True
    """Whether keys and values are merged into queries and projections."""
    key_dim: Count | None = None
    """Width of keys and values where they are not merged; d + 1 if left out."""
    normalization: Literal["context", "none"] = "context"
    """Whether linear and ReLU attention are divided by n ("context")."""
    residual: bool = True
    """Whether a layer adds to the stream."""
    include_query: bool = False
    """Whether tokens attend to the query token too."""
    init_scale: Positive = 0.1
    """Standard deviation of every weight at the start."""
    reference: ClassVar[str] = "von Oswald et al. 2023; Ahn et al. 2023"


class GPTTable(Table):
    """A decoder-only transformer in the shape of GPT-2, by size or by its numbers."""

    kind: Literal["gpt"]
    size: Literal["tiny", "small", "standard"] = "tiny"
    """Layers, heads and width together: 3, 2, 64; 6, 4, 128; 12, 8, 256."""
    layers: Count | None = None
    """Number of layers, in the place of that of `size`."""
    heads: Count | None = None
    """Number of heads, in the place of that of `size`."""
    width: Count | None = None
    """Width of the stream, in the place of that of `size`."""
    mlp: Whole = 4
    """Width of the MLPs over that of the stream; 0 for none."""
    encoding: Literal["interleaved", "padded", "joint"] = "interleaved"
    """How a prompt becomes tokens: x and y in turn, padded, or in one."""
    attention: Literal["softmax", "relu"] = "softmax"
    """Softmax, or ReLU scores over the number of tokens seen."""
    reference: ClassVar[str] = "Garg et al. 2022; Raventós et al. 2023"


class OwnModelTable(OwnTable):
    """Your own: "module:Class", made from the other keys of the table and `key=`."""


MODEL_TABLES = (LinearAttentionTable, AttentionStackTable, GPTTable)


ModelTable = one_of(*MODEL_TABLES, own=OwnModelTable, default="linear_attention")
