"""What a report says of how its numbers were made: sizes, seeds, versions."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

from ..runs import versions
from ..runs._folder import now

_KEYS = {
    "steps": ("steps",),
    "batch size": ("batch_size",),
    "learning rate": ("learning_rate", "rate"),
    "evaluation prompts": ("num_prompts", "test_prompts"),
}
_SOURCES = "sources of iclax"
_RECORDED = ("seed", "computed", "command", "iclax", _SOURCES, "python")
_UNKNOWN = "not recorded"


def training_facts(
    configs: Sequence[Mapping[str, Any]],
    data: Mapping[str, Mapping[str, Any]],
    seed: int,
) -> dict[str, str]:
    """Steps, batch sizes, rates, evaluation prompts and seeds of the parts, as text.

    Only what their configs state (themselves, or in a "training" table), or their data
    as "num_prompts"; several values where parts differ.
    """
    tables = [*configs, *(c["training"] for c in configs if "training" in c)]
    tables += [{"num_prompts": part.get("num_prompts")} for part in data.values()]
    found = {name: _values(tables, keys) for name, keys in _KEYS.items()}
    facts = {name: ", ".join(values) for name, values in found.items() if values}
    seeds = sorted({s for table in tables for s in _seeds(table, seed)})
    return facts | ({"seeds": ", ".join(map(str, seeds))} if seeds else {})


def setting_facts(setting: Mapping[str, Any]) -> dict[str, str]:
    """The tables of a setting as text, without that of training."""
    tables = {k: v for k, v in setting.items() if isinstance(v, Mapping)}
    return {k: _table(table) for k, table in tables.items() if k != "training"}


def provenance_facts(made: Mapping[str, Mapping[str, Any] | None]) -> dict[str, str]:
    """With what the parts were computed, as text, from what they have recorded.

    Parts that agree are told together; where they differ, each value names its parts.
    """
    told = {part: _provenance(record) for part, record in made.items()}
    names = dict.fromkeys([*_RECORDED, *(name for t in told.values() for name in t)])
    return {
        name: _grouped({part: t.get(name, _UNKNOWN) for part, t in told.items()})
        for name in names
    }


def report_facts() -> dict[str, str]:
    """When and with what a report is written, which may be long after its numbers."""
    own = versions()
    with_ = f"iclax {own['iclax']}, python {own['python']}"
    return {
        "report written": f"{_time(now())} UTC with {with_}, "
        f"matplotlib {version('matplotlib')}"
    }


def _provenance(record: Mapping[str, Any] | None) -> dict[str, str]:
    """The record of one part as text; "then" where a training was gone on with."""
    if record is None:
        return {}
    sessions = [*record.get("earlier", []), record]
    known = [session.get("versions", {}) for session in sessions]
    return {
        "seed": _then(str(s.get("seed", _UNKNOWN)) for s in sessions),
        "computed": _then(map(_span, sessions)),
        "command": _then(_command(s.get("command")) for s in sessions),
        **{
            _SOURCES if name == "sources" else name: _then(
                v.get(name, _UNKNOWN) for v in known
            )
            for name in dict.fromkeys(name for v in known for name in v)
        },
    }


def _grouped(values: Mapping[str, str]) -> str:
    groups: dict[str, list[str]] = {}
    for part, value in values.items():
        groups.setdefault(value, []).append(part)
    if len(groups) < 2:
        return next(iter(groups), _UNKNOWN)
    return ", ".join(f"{value} ({', '.join(p)})" for value, p in groups.items())


def _then(values: Iterable[str]) -> str:
    return " then ".join(value for value, _ in groupby(values))


def _span(session: Mapping[str, Any]) -> str:
    if "begun" not in session:
        return _UNKNOWN
    begun, ended = _time(session["begun"]), session.get("ended")
    if ended is None:
        return f"{begun} UTC until stopped"
    day, hour = _time(ended).split(" ")
    return f"{begun} to {hour if begun.startswith(day) else _time(ended)} UTC"


def _time(text: str) -> str:
    return text.removesuffix("+00:00").replace("T", " ")


def _command(arguments: Sequence[str] | None) -> str:
    """What was typed, without where the program lies."""
    if not arguments:
        return _UNKNOWN
    program = Path(arguments[0])
    if program.name == "__main__.py":
        return shlex.join(["python", "-m", program.parent.name, *arguments[1:]])
    return shlex.join([program.name, *arguments[1:]])


def _values(tables: Sequence[Mapping[str, Any]], keys: tuple[str, ...]) -> list[str]:
    found = [table[key] for table in tables for key in keys if key in table]
    numbers = [v for v in found if isinstance(v, int | float)]
    return [f"{v:g}" if v % 1 else f"{v:.0f}" for v in sorted(set(numbers))]


def _seeds(table: Mapping[str, Any], first: int) -> Iterator[int]:
    """The seeds that a config lists, or counts from the first one."""
    seeds = table.get("seeds", [])
    yield from range(first, first + seeds) if isinstance(seeds, int) else seeds


def _table(table: Mapping[str, Any]) -> str:
    stated = {key: value for key, value in table.items() if value is not None}
    return ", ".join(f"{key} = {_short(value)}" for key, value in stated.items())


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
