"""What a result was made with."""

import platform
from importlib.metadata import PackageNotFoundError, version


def versions() -> dict[str, str]:
    """Versions of iclax, Python and the numerical libraries, and the device."""
    import jax

    from .. import __version__

    found = {"iclax": __version__, "python": platform.python_version()}
    for name in ("jax", "jaxlib", "equinox", "optax", "numpy", "scipy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found | {"device": jax.devices()[0].device_kind}
