"""`iclax reproduce`: one paper, whole."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro


def reproduce(
    paper: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PAPER")],
    /,
    size: Literal["toy", "laptop", "paper"] = "laptop",
    seed: int = 0,
    out: Path | None = None,
    force: tyro.conf.FlagCreatePairsOff[bool] = False,
    json: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> None:
    """Reproduce a paper: compute, compare with exact theory, write figures and a
    report.

    Exit code 1 only if a verdict fails; 0 where all hold or some are not decided.

    Args:
        paper: The recipe's name; `iclax list` shows them.
        size: toy (seconds), laptop (minutes on 2 cores) or paper (GPU).
        seed: The first seed.
        out: The run folder [default: runs/PAPER-SIZE-seedSEED].
        force: Compute again what is already there.
        json: Print one JSON object.
    """
    from ..experiments._recipe import run_recipe
    from ..report import sections_text, tally
    from ._output import print_json
    from ._progress import progress_factory
    from ._recipes import find_recipe

    recipe = find_recipe(paper)
    folder = out or Path("runs") / f"{paper}-{size}-seed{seed}"
    outcome = run_recipe(
        recipe,
        size=size,
        seed=seed,
        folder=folder,
        force=force,
        workers=recipe.workers,
        progress=progress_factory(),
        announce=lambda text: print(text, file=sys.stderr),
    )
    if json:
        print_json(
            {
                "recipe": recipe.name,
                "size": size,
                "seed": seed,
                "folder": str(folder),
                "passed": outcome.passed,
                "reused": list(outcome.reused),
                "verdicts": [vars(v) for v in outcome.verdicts],
                "tables": [
                    list(t.rows) for section in outcome.sections for t in section.tables
                ],
            }
        )
    else:
        print(sections_text(outcome.sections))
        if outcome.reused:
            print(f"\nfound on disk, not computed again: {', '.join(outcome.reused)}")
            print("(--force computes everything anew)")
        print(f"\n{tally(outcome.verdicts)}")
        print(f"report: {folder / 'report.html'}")
    sys.exit(1 if outcome.passed is False else 0)
