"""What XLA should know about our programs."""

from collections.abc import Callable
from functools import cache
from typing import Any

from ._lazy import jax


def compiler_options(short: bool = False, wide: bool = True) -> dict[str, Any]:
    """Options for `jax.jit` of a program that trains or simulates small models.

    A `short` one, of at most thousands of steps, compiles in two thirds of the time;
    its steps take up to a third longer. One that spends its time in loops of 8 to 15
    numbers misses `wide` vectors and takes up to three times as long with them.
    """
    # XLA:CPU spends most of the time to compile such a program in LLVM's highest
    # level, on the unrolled random numbers, and gains nothing by it.
    return _options(level="1", emitters=not short, wide=wide)


def quick_options() -> dict[str, Any]:
    """Options for a program of small matrices that runs only hundreds of times.

    It compiles in a fifth of the time, and its products of matrices are as fast.
    """
    return _options(level="0", emitters=False, wide=True)


def _options(level: str, emitters: bool, wide: bool) -> dict[str, Any]:
    """LLVM's level, whether XLA writes fusions itself (a choice before JAX 0.11), and
    whether vectors fill a 512-bit register, of which LLVM would use half."""
    if not on_cpu():
        return {}
    options: dict[str, Any] = {"xla_backend_optimization_level": level}
    if wide:
        options["xla_cpu_prefer_vector_width"] = 512
    if not emitters and jax.__version_info__ < (0, 11):
        options["xla_cpu_use_fusion_emitters"] = False
    return options


def on_cpu() -> bool:
    """Whether programs run on the CPU unless told otherwise."""
    return jax.default_backend() == "cpu"


@cache  # or every call outside `jit` would compile anew
def written(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of arrays, whose results are computed once and written down.

    XLA's CPU backend would fuse them into every reader, and compute them again in each:
    longer to compile, and slow where a reader is a loop that it does not vectorize.
    """
    if not on_cpu():
        return function
    from jax.experimental.xla_metadata import set_xla_metadata

    # What `function` calls is not kept apart from it: that compiles longer.
    def plain(*args: Any) -> Any:
        with set_xla_metadata(inlineable=None):
            return function(*args)

    called = jax.jit(plain)

    def call(*args: Any) -> Any:
        with set_xla_metadata(inlineable="false"):
            return called(*args)

    return call
