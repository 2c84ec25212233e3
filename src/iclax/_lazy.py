"""Modules imported at their first use, so that theory never pays for JAX."""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any


class LazyModule:
    """A stand-in for a module that is imported when an attribute is first read."""

    def __init__(self, name: str):
        self._name = name
        self._module: ModuleType | None = None

    def __getattr__(self, attribute: str) -> Any:
        if self._module is None:
            self._module = import_module(self._name)
        return getattr(self._module, attribute)


if TYPE_CHECKING:
    import jax
    import jax.numpy as jnp
    import jax.random as jr
else:
    jax = LazyModule("jax")
    jnp = LazyModule("jax.numpy")
    jr = LazyModule("jax.random")

__all__ = ["LazyModule", "jax", "jnp", "jr"]
