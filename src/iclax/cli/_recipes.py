"""Finding a recipe by its name."""

from typing import Any

from .._errors import SettingError, nearest


def find_recipe(name: str) -> Any:
    """The recipe `name`; raises `SettingError` with the nearest names."""
    from ..experiments import load_recipe, recipe_names

    names = recipe_names()
    if name not in names:
        allowed = ", ".join(names) + nearest(name, names)
        raise SettingError("recipe", f'"{name}"', allowed)
    return load_recipe(name)
