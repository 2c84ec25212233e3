"""What a report says of how its numbers were made: sizes, seeds, versions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_KEYS = {
    "steps": ("steps",),
    "batch size": ("batch_size",),
    "learning rate": ("learning_rate", "rate"),
    "evaluation prompts": ("num_prompts", "test_prompts"),
}


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
