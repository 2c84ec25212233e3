"""Batches of prompts made fast: a function of a key that a compiled loop can call."""

from .._threefry import normals as normals
from ._compressed import (
    Statistics as Statistics,
    compressed_batch as compressed_batch,
    sufficient_statistics as sufficient_statistics,
)
from ._fresh import Sampler as Sampler, fresh_batch as fresh_batch
from ._stored import stored_batch as stored_batch
