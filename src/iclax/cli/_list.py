"""`iclax list`: what there is, each with one line and its reference."""

from typing import Any

import tyro


def list_(json: tyro.conf.FlagCreatePairsOff[bool] = False) -> None:
    """Tasks, covariates, models and recipes, one line each.

    Args:
        json: Print one JSON object.
    """
    from ._output import print_json, print_table

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
    from ..settings import COVARIATE_TABLES, MODEL_TABLES, TASK_TABLES, OwnModelTable

    return {
        "tasks": [_entry(table) for table in TASK_TABLES],
        "covariates": [_entry(table) for table in COVARIATE_TABLES],
        "models": [
            *(_entry(table) for table in MODEL_TABLES),
            {
                "kind": "module:Class",
                "summary": OwnModelTable.summary(),
                "reference": "",
            },
        ],
        "recipes": [
            {"kind": name, "summary": recipe.summary, "reference": recipe.reference}
            for name in recipe_names()
            for recipe in [load_recipe(name)]
        ],
    }


def _entry(table: Any) -> dict[str, str]:
    kind = table.model_fields["kind"].annotation.__args__[0]
    return {"kind": kind, "summary": table.summary(), "reference": table.reference}


def _line(entry: dict[str, str]) -> str:
    return entry["summary"] + (
        f"  [{entry['reference']}]" if entry["reference"] else ""
    )
