"""What a subclass has changed: nothing known of its parent is taken for granted."""

from collections.abc import Iterable
from typing import Any


def keeps(value: Any, base: type, names: Iterable[str]) -> bool:
    """Whether `value` is a `base` whose methods `names` no subclass has replaced.

    What `base` leaves abstract is for a subclass to define.
    """
    if not isinstance(value, base):
        return False
    abstract = getattr(base, "__abstractmethods__", frozenset())
    return all(
        getattr(type(value), name) is getattr(base, name)
        for name in names
        if name not in abstract
    )


def stale(value: Any, sampling: Iterable[str], known: Iterable[str]) -> str | None:
    """The first of `known` that `value` inherits although it draws otherwise.

    A subclass that replaces one of its parent's methods `sampling` has another
    distribution, of which the parent's formulas say nothing. None where nothing is.
    """
    replaced = [place for name in sampling if (place := _replaced(value, name)) >= 0]
    if not replaced:
        return None
    return next((n for n in known if _definers(value, n)[0] > min(replaced)), None)


def _replaced(value: Any, name: str) -> int:
    """Where in the method resolution order a body of `name` is replaced, or −1."""
    places = _definers(value, name)
    return places[0] if len(places) > 1 else -1


def _definers(value: Any, name: str) -> list[int]:
    """The classes, nearest first, that give `name` a body of its own."""
    classes = enumerate(type(value).__mro__)
    return [
        place
        for place, base in classes
        if name in vars(base)
        and not getattr(vars(base)[name], "__isabstractmethod__", False)
    ] or [len(type(value).__mro__)]
