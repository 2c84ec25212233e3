"""Strict numerics for every test: float64, no silent broadcasting of ranks."""

import os
from importlib.metadata import version

# Tests compile far more than they compute: without LLVM's optimizations, and without
# fusions that XLA writes itself (JAX 0.10 only), they take a third less. Read when JAX
# starts its first backend; subprocesses inherit it.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0"
    + " --xla_cpu_use_fusion_emitters=false" * version("jax").startswith("0.10."),
)

import jax
import jax.random as jr
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def getkey(request):
    """A function that returns a fresh key at each call; seeded by the test's name."""
    seed = sum(map(ord, request.node.nodeid)) % 2**31
    state = {"key": jr.key(seed)}

    def _getkey():
        state["key"], key = jr.split(state["key"])
        return key

    return _getkey
