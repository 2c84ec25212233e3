"""Finding a recipe by its name."""

from difflib import get_close_matches
from typing import Any

from .._errors import SettingError


def find_recipe(name: str) -> Any:
    """The recipe `name`; raises `SettingError` with the nearest names."""
    from ..experiments import load_recipe, recipe_names

    names = recipe_names()
    if name not in names:
        close = get_close_matches(name, names, n=1)
        hint = f' (did you mean "{close[0]}"?)' if close else ""
        raise SettingError("recipe", f'"{name}"', ", ".join(names) + hint)
    return load_recipe(name)
