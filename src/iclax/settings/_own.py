"""Classes of the user's own, named "module:Class" in a table of a setting file."""

import importlib
import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NoReturn

from pydantic import ConfigDict, Field

from .._errors import IclaxError, SettingError
from ._base import Table


class OwnTable(Table):
    """Your own: "module:Class", made from the other keys of the table."""

    model_config = ConfigDict(extra="allow")

    kind: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]

    def keys(self) -> dict[str, Any]:
        """The keys that the class is made from."""
        return dict(self.__pydantic_extra__ or {})

    def files(self, key: str) -> dict[str, str]:
        """The file of the module, by the key naming it."""
        return {f"{key}.kind": _file(self.kind)}

    def make(self, base: Path, place: str, **more: Any) -> Any:
        """The object: the module is looked up in the folder `base` first.

        Raises `SettingError` naming the `place` in the file for whatever goes wrong in
        the user's code.
        """
        own = _class(self.kind, base, f"{place}.kind")
        keys = self.keys() | more
        try:
            return own(**keys)
        except IclaxError:
            raise
        except Exception as error:  # of the user's code
            refuse(place, f"{self.kind}({', '.join(keys)})", error)


def of_kind(value: Any, kind: type, table: OwnTable, key: str) -> Any:
    """`value` where it is of the class that stands there; else `SettingError`."""
    if isinstance(value, kind):
        return value
    found = f"{table.kind}, which makes an object of type {type(value).__name__}"
    module = kind.__module__.rpartition(".")[0]
    raise SettingError(f"{key}.kind", found, f"a class of {module}.{kind.__name__}")


def refuse(key: str, what: str, error: Exception) -> NoReturn:
    """Raise one message for what the user's own code raised."""
    told = str(error).strip().splitlines()
    said = f"{type(error).__name__}{f': {told[0]}' if told else ''}"
    raise SettingError(key, f"{what}, which raised {said}", "code that runs") from error


def _file(kind: str) -> str:
    return f"{kind.partition(':')[0].replace('.', '/')}.py"


@cache
def _executed(name: str, path: Path, text: bytes) -> ModuleType:
    """The module in a file, once for each text of it: its classes stay the same."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _class(kind: str, base: Path, key: str) -> Any:
    """The class of "module:Class", from the folder `base` or as installed."""
    name, _, wanted = kind.partition(":")
    path = base / _file(kind)
    try:
        if path.is_file():
            module = _executed(name, path.resolve(), path.read_bytes())
        else:
            module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not path.is_file() and error.name == name.partition(".")[0]:
            found = f'"{kind}", but no module {name}'
            allowed = "a module beside the setting file, or an installed one"
            raise SettingError(key, found, allowed) from None
        refuse(key, f"the module {name}", error)
    except Exception as error:  # of the user's code
        refuse(key, f"the module {name}", error)
    if not callable(getattr(module, wanted, None)):
        there = [k for k, v in vars(module).items() if isinstance(v, type)]
        here = [k for k in there if getattr(module, k).__module__ == name]
        found = f"{name} without a class {wanted}"
        raise SettingError(key, found, ", ".join(here) or "a class of it")
    return getattr(module, wanted)
