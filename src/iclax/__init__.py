"""iclax: exact theory, trained models and their comparison for in-context learning."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_FOLDERS = (
    "covariates",
    "tasks",
    "prompts",
    "predictors",
    "models",
    "theory",
    "sampling",
    "training",
    "evaluation",
    "settings",
    "runs",
    "experiments",
    "figures",
    "report",
)


def __getattr__(name: str) -> Any:
    """Import a folder at its first use, so that `import iclax` stays light."""
    if name in _FOLDERS:
        return import_module(f"iclax.{name}")
    raise AttributeError(f"module 'iclax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_FOLDERS, "__version__"])
