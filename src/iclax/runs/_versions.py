"""What a result was made with."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from .. import __version__
from ._sources import sources

_PACKAGES = ("jax", "jaxlib", "equinox", "optax", "diffrax", "numpy", "scipy")


def versions() -> dict[str, str]:
    """Versions of iclax, its sources, Python and the numerical libraries.

    With the device where JAX is in use; JAX is not imported to find out.
    """
    found = {
        "iclax": __version__,
        "sources": sources(),
        "python": platform.python_version(),
    }
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if "jax" in sys.modules:
        found["device"] = sys.modules["jax"].devices()[0].device_kind
    return found
