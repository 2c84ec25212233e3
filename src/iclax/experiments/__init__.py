"""One declarative recipe per paper, and the comparison they are made of."""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._recipe import Recipe
    from ._saved_models import load_model as load_model


def recipe_names() -> list[str]:
    """The names of all recipes: the public modules of this folder."""
    return [m.name for m in iter_modules(__path__) if not m.name.startswith("_")]


def load_recipe(name: str) -> "Recipe":
    """The recipe of that name."""
    return import_module(f"{__name__}.{name}").RECIPE


def __getattr__(name: str) -> Any:
    """`load_model` at its first use: it needs JAX, the names of recipes do not."""
    if name == "load_model":
        return import_module(f"{__name__}._saved_models").load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
