"""`iclax run`: exact theory, training and comparison on a user's own setting."""

import sys
from pathlib import Path
from typing import Any

import tyro

from ._theory import SettingPath


def run(
    setting: SettingPath,
    /,
    out: Path | None = None,
    force: tyro.conf.FlagCreatePairsOff[bool] = False,
    json: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> None:
    """Theory, training, comparison, figures and report of your own setting file.

    A second call with the same setting and data finds the result and says so.

    Exit code 0 once the comparison is made, whatever its verdict (--json: `holds` is
    true, false or null where it is not decided); 2 for wrong input.

    Args:
        setting: The setting file.
        out: The run folder [default: runs/NAME-HASH].
        force: Compute again what is already there.
        json: Print one JSON object.
    """
    from ..experiments._models import model_builder
    from ..experiments._recipe import run_recipe
    from ..experiments._setting_recipe import run_folder, setting_recipe
    from ..report import sections_text, tally
    from ..settings import load_setting
    from ._output import print_json
    from ._progress import progress_factory

    loaded = load_setting(setting)
    model_builder(loaded, loaded.prompts())  # refused before a folder is made
    recipe = setting_recipe(loaded, setting.stem)
    folder = run_folder(recipe, loaded, out)
    outcome = run_recipe(
        recipe,
        size="laptop",
        seed=loaded.training.seeds[0],
        folder=folder,
        force=force,
        progress=progress_factory(),
        announce=lambda text: print(text, file=sys.stderr),
    )
    if json:
        print_json({"folder": str(folder), **_summary(outcome)})
        return
    print(sections_text(outcome.sections))
    if outcome.reused:
        print(f"\nfound in {folder}, not computed again (--force to redo)")
    print(f"\n{tally(outcome.verdicts)}")
    print(f"report: {folder / 'report.html'}")


def _summary(outcome: Any) -> dict[str, Any]:
    """The numbers of a run by their JSON names."""
    case = outcome.data["comparison"]
    return {
        "reused": bool(outcome.reused),
        **case["claim"],
        "seeds": case["layers"],
        "checks": case["checks"],
        "references": case["references"],
        "real_labels": case.get("real_labels"),
        "verdict": case["verdict"],
        "holds": case["holds"],
    }
