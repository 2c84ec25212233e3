"""`iclax list`: what there is, each with one line and its reference."""

from typing import Annotated, Any

import tyro


def list_(
    kind: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[KIND]")] = "",
    /,
    json: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> None:
    """Tasks, covariates, models and recipes, one line each, or the keys of one KIND.

    Args:
        kind: One of them, or prompt or training: prints its keys in a setting file.
        json: Print one JSON object.
    """
    from ._output import print_json, print_table

    if kind:
        found = keys_of(kind)
        print_json(found) if json else _print_keys(found)
        return
    found = inventory()
    if json:
        print_json(found)
        return
    for group, entries in found.items():
        print(f"{group}:")
        print_table([(entry["kind"], _line(entry)) for entry in entries])


def inventory() -> dict[str, list[dict[str, str]]]:
    """Everything that can be named in a setting file or on the command line."""
    from ..experiments import load_recipe, recipe_names
    from ..settings import own_tables, tables

    groups = {"tasks": "tasks", "covariates": "covariates", "model": "models"}
    found: dict[str, list[dict[str, str]]] = {group: [] for group in groups.values()}
    known = [(kind, *entry) for kind, entry in tables().items() if entry[0]]
    known += [("module:Class", place, table) for place, table in own_tables().items()]
    for kind, place, table in known:
        entry = {"summary": table.summary(), "reference": table.reference}
        found[groups[place]].append({"kind": kind, **entry})
    found["recipes"] = [
        {"kind": name, "summary": recipe.summary, "reference": recipe.reference}
        for name in recipe_names()
        for recipe in [load_recipe(name)]
    ]
    return found


def keys_of(kind: str) -> dict[str, Any]:
    """What a table of a setting file takes. Raises `SettingError` for no such kind."""
    from .._errors import SettingError, nearest
    from ..settings import table_keys, tables

    known = tables()
    if kind not in known:
        allowed = ", ".join(known) + nearest(kind, known)
        raise SettingError("KIND", f'"{kind}"', allowed)
    place, table = known[kind]
    return {
        "table": place or kind,
        "kind": kind if place else None,
        "summary": table.summary(),
        "reference": table.reference,
        "keys": [key._asdict() for key in table_keys(table)],
    }


def _print_keys(found: dict[str, Any]) -> None:
    import textwrap

    stated = f"[{found['table']}]"
    stated += f' kind = "{found["kind"]}"' if found["kind"] else ""
    print(f"{stated}: {_line(found)}")
    for key in found["keys"]:
        default = key["default"]
        told = default if default == "required" else f"default {default}"
        print(f"  {key['name']}: {key['type']}, {told}")
        print(textwrap.indent(textwrap.fill(key["meaning"], 74), " " * 6))


def _line(entry: dict[str, str]) -> str:
    return entry["summary"] + (
        f"  [{entry['reference']}]" if entry["reference"] else ""
    )
