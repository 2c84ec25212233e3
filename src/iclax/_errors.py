"""Errors in the user's words. The command line prints them and exits with code 2."""

from collections.abc import Iterable


class IclaxError(Exception):
    """Anything iclax refuses for a reason the user can act on."""


class SettingError(IclaxError):
    """A wrong input: names the key, what was found and what is allowed."""

    def __init__(self, key: str, found: str, allowed: str):
        self.key, self.found, self.allowed = key, found, allowed
        super().__init__(f"{key}: found {found}; allowed: {allowed}.")

    def __reduce__(self):
        return type(self), (self.key, self.found, self.allowed)

    def within(self, parent: str) -> "SettingError":
        """The same error with its key under `parent`, as `parent.key`."""
        return SettingError(f"{parent}.{self.key}", self.found, self.allowed)


class AssumptionError(IclaxError):
    """A formula asked for where it does not hold: what is missing, and the way out."""

    def __init__(self, what: str, missing: str, instead: str):
        self.what, self.missing, self.instead = what, missing, instead
        super().__init__(f"{what} needs {missing}. Instead: {instead}.")

    def __reduce__(self):
        return type(self), (self.what, self.missing, self.instead)


class RunError(IclaxError):
    """A run folder that cannot be used: locked, damaged, read-only or another run's."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The question whether the nearest of the `known` names was meant, if one is."""
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=1)
    return f' (did you mean "{close[0]}"?)' if close else ""
