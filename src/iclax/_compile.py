"""What XLA should know about our programs."""

from ._lazy import jax


def compiler_options() -> dict[str, str]:
    """Options for `jax.jit` of a program that trains or simulates small models."""
    # XLA:CPU spends most of the time to compile such a program in LLVM's highest
    # level, on the unrolled random numbers, and gains nothing by it.
    if on_cpu():
        return {"xla_backend_optimization_level": "1"}
    return {}


def on_cpu() -> bool:
    """Whether programs run on the CPU unless told otherwise."""
    return jax.default_backend() == "cpu"
