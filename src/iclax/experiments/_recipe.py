"""A recipe: one paper's experiments as parts that are computed, saved and reported.

A part is computed once and its data saved as JSON; everything shown (tables, figures,
verdicts) is made from saved data, so an interrupted recipe goes on where it stopped and
a report can be made again without computing anything.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Any, Literal

from .. import __version__
from .._errors import RunError
from .._files import Lock, make_folder
from ..report import Section, sections_text, write_html
from ..runs import versions, write_json
from ._parallel import run_parts

Size = Literal["toy", "laptop", "paper"]


@dataclass(frozen=True)
class PartContext:
    """What a part may use while it computes: its own `folder`, and `progress` factory.

    `progress(title, steps)` returns a callback for `iclax.training.train`; it takes
    `prompts_per_step` and the `floor` of the loss as keywords.
    """

    folder: Path
    progress: Callable[..., Any]


@dataclass(frozen=True)
class Part:
    """One computation: `compute(context)` returns JSON-able data.

    `config` is everything the data depend on; a saved part with another config (or from
    another version of iclax) is computed again.
    """

    name: str
    config: Mapping[str, Any]
    compute: Callable[[PartContext], dict[str, Any]]

    @property
    def fingerprint(self) -> str:
        """A hash of the name, the config and the version of iclax."""
        text = json.dumps([self.name, self.config, __version__], sort_keys=True)
        return sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Recipe:
    """One paper: `parts(size, seed)` to compute, `report(data, size)` to show.

    Small parts run faster `workers` at a time than each on all cores.
    """

    name: str
    title: str
    reference: str
    summary: str
    parts: Callable[[Size, int], Sequence[Part]]
    workers: int = field(default=1, kw_only=True)
    report: Callable[[Mapping[str, dict[str, Any]], Size], Sequence[Section]]


@dataclass(frozen=True)
class Outcome:
    """What a recipe left behind; `reused` are the parts found on disk."""

    folder: Path
    sections: tuple[Section, ...]
    data: Mapping[str, dict[str, Any]]
    reused: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every verdict holds."""
        return all(section.passed for section in self.sections)


def run_recipe(
    recipe: Recipe,
    *,
    size: Size,
    seed: int,
    folder: Path,
    force: bool = False,
    progress: Callable[..., Any] = lambda title, steps, **known: None,
    announce: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Compute the parts that are missing in `folder`, then write figures and report."""
    parts = recipe.parts(size, seed)
    with Lock(make_folder(folder)):
        return _run(recipe, parts, size, seed, folder, force, progress, announce)


def _run(
    recipe: Recipe,
    parts: Sequence[Part],
    size: Size,
    seed: int,
    folder: Path,
    force: bool,
    progress: Callable[..., Any],
    announce: Callable[[str], None],
) -> Outcome:
    saved = {p.name: None if force else _saved(folder, p) for p in parts}
    missing = [part for part in parts if saved[part.name] is None]

    def compute(part: Part, progress: Callable[..., Any]) -> dict[str, Any]:
        announce(f"{part.name} …")
        found = part.compute(PartContext(_part_folder(folder, part, force), progress))
        _save(folder, part, found)
        return found

    saved |= run_parts(compute, missing, recipe.workers, progress)
    data = {part.name: _through_json(saved[part.name] or {}) for part in parts}
    reused = [part.name for part in parts if part not in missing]
    sections = tuple(recipe.report(data, size))
    facts = {
        "recipe": f"{recipe.name}, size {size}",
        "seed": seed,
        "reference": recipe.reference,
        **versions(),
    }
    _write_report(recipe, sections, facts, folder)
    return Outcome(folder, sections, data, tuple(reused))


def _write_report(
    recipe: Recipe, sections: Sequence[Section], facts: dict[str, Any], folder: Path
) -> None:
    from ..figures import save

    for section in sections:
        for figure in section.figures:
            save(figure.draw(), folder / "figures", figure.name)
    write_html(
        folder / "report.html",
        title=recipe.title,
        sections=sections,
        facts=facts,
        figures=folder / "figures",
    )
    (folder / "table.md").write_text(sections_text(sections) + "\n", encoding="utf-8")
    verdicts = [v for section in sections for v in section.verdicts]
    write_json(
        folder / "verdicts.json",
        {
            "facts": facts,
            "passed": all(v.passed for v in verdicts),
            "verdicts": [vars(v) for v in verdicts],
            "tables": [
                {"caption": t.caption, "rows": list(t.rows)}
                for section in sections
                for t in section.tables
            ],
        },
    )


def _part_folder(folder: Path, part: Part, force: bool) -> Path:
    """Where the part keeps checkpoints; what another config left is not mixed in."""
    own = folder / "parts" / f"{part.name}-{part.fingerprint[:8]}"
    if force and own.exists():
        rmtree(own)
    return own


def _saved(folder: Path, part: Part) -> dict[str, Any] | None:
    path = folder / f"{part.name}.json"
    if not path.exists():
        return None
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path} is damaged ({error}); remove it or use --force to redo it"
        ) from None
    return saved["data"] if saved.get("fingerprint") == part.fingerprint else None


def _save(folder: Path, part: Part, data: dict[str, Any]) -> None:
    write_json(
        folder / f"{part.name}.json",
        {"fingerprint": part.fingerprint, "config": part.config, "data": data},
    )


def _through_json(data: dict[str, Any]) -> dict[str, Any]:
    """The data as a report sees them, whether fresh or read back."""
    from ..runs import plain

    return json.loads(json.dumps(plain(data)))
