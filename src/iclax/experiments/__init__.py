"""One declarative recipe per paper, and the comparison they are made of."""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._recipe import Recipe


def recipe_names() -> list[str]:
    """The names of all recipes: the public modules of this folder."""
    return [m.name for m in iter_modules(__path__) if not m.name.startswith("_")]


def load_recipe(name: str) -> "Recipe":
    """The recipe of that name."""
    return import_module(f"{__name__}.{name}").RECIPE
