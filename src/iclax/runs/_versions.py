"""Which software a run was made with."""

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("iclax", "jax", "jaxlib", "equinox", "optax", "numpy", "scipy")


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that results depend on.

    Read from the installed packages, without importing them.
    """
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a source tree
            found[package] = "not installed"
    return found
