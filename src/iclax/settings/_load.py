"""From a file to a `Setting`, and from pydantic's errors to the user's words."""

import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .._errors import SettingError, nearest
from ._base import kind
from ._setting import Setting


def load_setting(path: str | Path) -> Setting:
    """Read and check a setting file. Raises `SettingError` naming the key at fault.

    The `setting.json` of a run folder of `iclax run` is one too; relative paths in it
    are taken from the current folder.
    """
    path = Path(path)
    if path.suffix == ".json":
        return parse_setting(_saved(path))
    try:
        document = tomllib.loads(_text(path))
    except ValueError as error:  # of TOML, of UTF-8, and of endless numbers
        raise SettingError(
            str(path), f"text that is not TOML ({error})", "TOML"
        ) from None
    return parse_setting(document, path.parent)


def _saved(path: Path) -> dict[str, Any]:
    """The setting in the setting.json of a run."""
    try:
        found = json.loads(_text(path))
        setting = dict(found["setting"])
    except (ValueError, TypeError, LookupError, RecursionError):
        found, allowed = "no setting", "the setting.json of a run of `iclax run`"
        raise SettingError(str(path), found, allowed) from None
    setting.pop("files", None)  # the digests of what it read
    return setting


def _text(path: Path) -> str:
    """The text of a setting file, without the mark that some editors begin with."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        found, allowed = f"no file at {path}", "the path of a .toml file"
    except IsADirectoryError:
        found, allowed = f"a folder at {path}", "a .toml file"
    except OSError as error:
        reason = error.strerror or str(error)
        found = f"{path}, which cannot be read ({reason})"
        allowed = "a .toml file that you may read"
    raise SettingError("setting file", found, allowed)


def parse_setting(document: dict[str, Any], base: Path = Path(".")) -> Setting:
    """A `Setting` from a dictionary; relative paths are taken from `base`."""
    try:
        return Setting.model_validate(document).at(base)
    except ValidationError as error:
        raise _in_plain_words(error) from None


def _in_plain_words(error: ValidationError) -> SettingError:
    # A misspelled key is also a missing one: the misspelling is what helps.
    problems = sorted(error.errors(), key=lambda p: p["type"] != "extra_forbidden")
    problem = problems[0]
    key, fault = _key_of(problem["loc"]), problem["type"]
    context, found = problem.get("ctx", {}), problem["input"]
    if fault == "extra_forbidden":
        return SettingError(key, "an unknown key", _allowed_keys(problem["loc"]))
    if fault == "missing":
        return SettingError(key, "nothing", "a value; this key is required")
    if fault == "union_tag_not_found":
        return SettingError(
            f"{key}.kind", "nothing", "one of the kinds in `iclax list`"
        )
    if fault == "union_tag_invalid":
        found, allowed = f'"{context["tag"]}"', context["expected_tags"]
        own = "'own'", '"module:Class" of your own'
        return SettingError(
            f"{key}.kind", found, allowed.replace(*own).replace("'", '"')
        )
    message = (
        problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    )
    return SettingError(key, _shown(found), message)


def _key_of(location: tuple[int | str, ...]) -> str:
    """`tasks.components[1].cov` from pydantic's location, without the union's tags."""
    key = ""
    for position, part in enumerate(location):
        if isinstance(part, int):
            key += f"[{part}]"
        elif not _is_tag(location, position):
            key += f".{part}" if key else part
    return key


_UNIONS = {"covariates", "query", "tasks", "model"}
_TYPE_NAMES = ("float", "str", "list[", "int")


def _is_tag(location: tuple[int | str, ...], position: int) -> bool:
    """Whether this part names a member of a union rather than a key of the file."""
    if position == 0:
        return False
    before, part = location[position - 1], str(location[position])
    in_union = before in _UNIONS and position == 1
    in_component = isinstance(before, int) and location[position - 2] == "components"
    in_type = position == len(location) - 1 and part.startswith(_TYPE_NAMES)
    return in_union or in_component or in_type


def _allowed_keys(location: tuple[int | str, ...]) -> str:
    """The keys that the table at fault allows, nearest spelling first."""
    fields = _fields_at(location[:-1])
    return ", ".join(fields) + nearest(str(location[-1]), fields)


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    from ._covariates import COVARIATE_TABLES
    from ._models import MODEL_TABLES
    from ._tasks import TASK_TABLES

    if not location:
        return list(Setting.model_fields)
    tables = COVARIATE_TABLES + TASK_TABLES + MODEL_TABLES
    by_kind = {kind(table): table for table in tables}
    if location[-1] in by_kind:
        extra = ["weight"] if "components" in location else []
        return [*by_kind[location[-1]].model_fields, *extra]
    annotation = Setting.model_fields[str(location[0])].annotation
    return list(getattr(annotation, "model_fields", {}))


def _shown(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
