"""What XLA should know about our programs."""

from typing import Any

from ._lazy import jax


def compiler_options() -> dict[str, str]:
    """Options for `jax.jit` of a program that trains or simulates small models."""
    # XLA:CPU spends most of the time to compile such a program in LLVM's highest
    # level, on the unrolled random numbers, and gains nothing by it.
    if on_cpu():
        return {"xla_backend_optimization_level": "1"}
    return {}


def quick_options() -> dict[str, Any]:
    """Options for a program of small matrices that runs only hundreds of times.

    It compiles in a fifth of the time, and its products of matrices are as fast.
    """
    if not on_cpu():
        return {}
    options: dict[str, Any] = {"xla_backend_optimization_level": "0"}
    if jax.__version_info__ < (0, 11):  # later versions have no such option
        options["xla_cpu_use_fusion_emitters"] = False
    return options


def on_cpu() -> bool:
    """Whether programs run on the CPU unless told otherwise."""
    return jax.default_backend() == "cpu"
