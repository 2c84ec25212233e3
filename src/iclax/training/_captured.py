"""What functions read beside their arguments, to notice when it changes."""

import functools
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

_SIMPLE = (type(None), bool, int, float, complex, str, bytes)
# Nothing of theirs changes between two calls of a training.
_LIBRARIES = {
    "builtins",
    "iclax",
    "jax",
    "jaxlib",
    "numpy",
    "scipy",
    "optax",
    "equinox",
}
_CONTAINERS = (dict, list, tuple, set, frozenset)
# How deep to look, and at how many values.
_DEPTH, _VALUES = 8, 10_000
_MOST = 100  # entries of a container or array; a larger one counts by identity


class Same:
    """An object compared by identity; kept alive, so that no other takes it over."""

    def __init__(self, value: Any):
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self._value is other._value

    def __hash__(self) -> int:
        return id(self._value)


def captured(*functions: Any) -> tuple:
    """A key of the values that the functions read from outside.

    Those are the global variables that they name, what they close over, defaults, the
    parts of a `functools.partial`, and the attributes of the object of a method or of a
    callable object; likewise for what these call, libraries excepted. Numbers, text,
    small containers and arrays and iclax's own descriptions count by value, anything
    else by identity.
    """
    reader = _Reader()
    return tuple(reader.key(function, 0) for function in functions)


class _Reader:
    def __init__(self):
        self._seen: set[int] = set()
        self._left = _VALUES

    def key(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if isinstance(value, _SIMPLE):
            return type(value), repr(value)
        if isinstance(value, np.ndarray) and value.size <= _MOST:
            return value.dtype.str, value.shape, value.tobytes()
        if isinstance(value, _CONTAINERS) and len(value) > _MOST:
            return Same(value), len(value)
        if isinstance(value, (type, types.ModuleType)) or id(value) in self._seen:
            return Same(value)
        if depth > _DEPTH or self._left < 0:
            return Same(value)
        self._seen.add(id(value))
        # Containers may be built anew, and methods are whenever one is asked for.
        if isinstance(value, (*_CONTAINERS, types.MethodType)):
            head = type(value)
        else:
            head = value if _has_own_equality(value) else Same(value)
        read = [(name, self.key(part, depth + 1)) for name, part in _parts(value)]
        return (head, *read)


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    match value:
        case types.FunctionType():
            return _read_by(value)
        case types.MethodType():
            return [("function", value.__func__), ("self", value.__self__)]
        case functools.partial():
            parts = value.func, value.args, value.keywords
            return zip(("function", "args", "keywords"), parts, strict=True)
        case dict():
            return ((repr(name), part) for name, part in value.items())
        case list() | tuple() | set() | frozenset():
            return ((str(i), part) for i, part in enumerate(value))
    return () if _of_library(type(value)) else _attributes(value)


def _read_by(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(
        function.__code__.co_freevars, function.__closure__ or (), strict=True
    ):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    if _of_library(function):
        return
    names = set(_names(function.__code__))
    for name in sorted(names & function.__globals__.keys()):
        value = function.__globals__[name]
        yield name, value
        if isinstance(value, types.ModuleType):
            for inner in sorted(names & vars(value).keys()):
                yield f"{name}.{inner}", vars(value)[inner]
    yield "defaults", function.__defaults__
    yield "keywords", function.__kwdefaults__


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    if _of_library(type(value)):
        return
    for kind in type(value).__mro__:
        for name, part in vars(kind).items():
            if isinstance(part, _SIMPLE):
                yield f"{kind.__name__}.{name}", part
            elif name == "__call__":
                yield name, part
    yield from getattr(value, "__dict__", {}).items()


def _has_own_equality(value: Any) -> bool:
    if not _of_library(type(value)):
        return False
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _of_library(value: Any) -> bool:
    """Whether its module is installed rather than written for this training."""
    if isinstance(value, types.FunctionType):  # `functools.wraps` changes __module__
        module = value.__globals__.get("__name__")
    else:
        module = getattr(value, "__module__", None)
    return _is_installed((module or "__main__").partition(".")[0])


@functools.cache
def _is_installed(package: str) -> bool:
    if package == "iclax" or package in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(package), "__file__", None) or ""
    return file.startswith(tuple(map(sysconfig.get_path, ("purelib", "platlib"))))
