"""What each table of a setting file takes: its keys with type, default and meaning."""

import ast
import inspect
import textwrap
from functools import cache
from typing import Any, NamedTuple

from ._base import Table, kind
from ._covariates import COVARIATE_TABLES, OwnCovariatesTable
from ._models import MODEL_TABLES, OwnModelTable
from ._own import OwnTable
from ._setting import PromptTable, TrainingTable
from ._tasks import TASK_TABLES, OwnTasksTable


class Key(NamedTuple):
    """One key of a table, in the user's words."""

    name: str
    type: str
    default: str
    meaning: str


def tables() -> dict[str, tuple[str, type[Table]]]:
    """Every table, and in which place of the file it stands, by its kind (or place)."""
    places = {
        "covariates": COVARIATE_TABLES,
        "tasks": TASK_TABLES,
        "model": MODEL_TABLES,
    }
    found = {kind(t): (place, t) for place, kinds in places.items() for t in kinds}
    return found | {"prompt": ("", PromptTable), "training": ("", TrainingTable)}


def own_tables() -> dict[str, type[OwnTable]]:
    """The tables of "module:Class", by their place in the file."""
    return {
        "covariates": OwnCovariatesTable,
        "tasks": OwnTasksTable,
        "model": OwnModelTable,
    }


def table_keys(table: type[Table]) -> list[Key]:
    """The keys of a table but its kind, those of its base classes first."""
    meanings: dict[str, str] = {}
    for parent in reversed(table.__mro__):
        if issubclass(parent, Table):
            meanings |= _attribute_docs(parent)
    return [
        Key(name, _type(field), _default(field), meanings.get(name, ""))
        for name, field in table.model_json_schema()["properties"].items()
        if name != "kind"
    ]


@cache
def _attribute_docs(table: type[Table]) -> dict[str, str]:
    """The strings that stand below the fields of a class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(table))).body[0].body
    return {
        field.target.id: " ".join(below.value.value.split())
        for field, below in zip(body, body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
    }


def _type(field: dict[str, Any]) -> str:
    """The allowed values of a field of a JSON schema, in words."""
    if "anyOf" in field:
        each = [_type(one) for one in field["anyOf"] if one != {"type": "null"}]
        return " or ".join(dict.fromkeys(each))
    if "enum" in field or "const" in field:
        allowed = field.get("enum", [field.get("const")])
        return " | ".join(f'"{value}"' for value in allowed)
    if "items" in field:
        return f"list of {_PLURALS.get(_type(field['items']), 'tables')}"
    kind = _NAMES.get(field.get("type", ""), "table")
    least, above = field.get("minimum"), field.get("exclusiveMinimum")
    limits = [f"≥ {least:g}"] if least is not None else []
    limits += [f"> {above:g}"] if above is not None else []
    if field.get("maximum", 2**31) < 2**31 - 1:
        limits.append(f"≤ {field['maximum']:g}")
    if field.get("exclusiveMaximum") is not None:
        limits.append(f"< {field['exclusiveMaximum']:g}")
    return " ".join([kind, ", ".join(limits)]).strip()


_NAMES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true | false",
    "object": "table",
}
_PLURALS = {
    "number": "numbers",
    "number > 0": "numbers > 0",
    "list of numbers": "rows",
    "whole number ≥ 0": "whole numbers",
}


def _default(field: dict[str, Any]) -> str:
    if "default" not in field:
        return "required"
    value = field["default"]
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value}"
