"""What XLA should know about our programs."""

from typing import Any

from ._lazy import jax


def compiler_options(short: bool = False) -> dict[str, Any]:
    """Options for `jax.jit` of a program that trains or simulates small models.

    A `short` one, of at most thousands of steps, compiles in two thirds of the time;
    its steps take up to a third longer.
    """
    # XLA:CPU spends most of the time to compile such a program in LLVM's highest
    # level, on the unrolled random numbers, and gains nothing by it.
    if not on_cpu():
        return {}
    level = {"xla_backend_optimization_level": "1"}
    return level | _WITHOUT_EMITTERS if short and _has_emitters() else level


def quick_options() -> dict[str, Any]:
    """Options for a program of small matrices that runs only hundreds of times.

    It compiles in a fifth of the time, and its products of matrices are as fast.
    """
    if not on_cpu():
        return {}
    level = {"xla_backend_optimization_level": "0"}
    return level | _WITHOUT_EMITTERS if _has_emitters() else level


_WITHOUT_EMITTERS: dict[str, Any] = {"xla_cpu_use_fusion_emitters": False}


def _has_emitters() -> bool:
    """Whether there is a choice: later versions have no such option."""
    return jax.__version_info__ < (0, 11)


def on_cpu() -> bool:
    """Whether programs run on the CPU unless told otherwise."""
    return jax.default_backend() == "cpu"
