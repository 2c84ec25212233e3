"""Counts that a simulation takes: whole numbers."""

import operator
from typing import Any

from .._errors import SettingError


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Raise `SettingError` unless `value` is a whole number of at least `least`."""
    try:
        whole = not isinstance(value, bool) and operator.index(value) >= least
    except TypeError:
        whole = False
    if not whole:
        raise SettingError(name, f"{value!r}", f"a whole number of at least {least}")
