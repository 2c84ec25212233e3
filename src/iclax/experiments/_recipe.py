"""A recipe: one paper's experiments as parts that are computed, saved and reported.

A part is computed once and its data saved as JSON; everything shown (tables, figures,
verdicts) is made from saved data, so an interrupted recipe goes on where it stopped and
a report can be made again without computing anything.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Any, Literal

from .._errors import RunError
from .._files import Lock, make_folder, write_atomic, writing
from ..report import (
    Section,
    Verdict,
    facts_text,
    overall,
    sections_text,
    write_html,
)
from ..runs import write_json
from ..runs._folder import recording
from ..runs._sources import sources
from ._facts import provenance_facts, report_facts, setting_facts, training_facts
from ._parallel import run_in_processes
from ._provenance import begin_part, end_part, has_checkpoints, why_again
from ._run_identity import SETTING_FILE, claim_folder, damaged, read_saved

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

    `config` is everything the data depend on; a saved part with another config, or made
    by other sources of iclax, is computed again.
    """

    name: str
    config: Mapping[str, Any]
    compute: Callable[[PartContext], dict[str, Any]]

    @property
    def fingerprint(self) -> str:
        """A hash of the name, the config and the sources of iclax."""
        text = json.dumps([self.name, self.config, sources()], sort_keys=True)
        return sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Recipe:
    """One paper: `parts(size, seed)` to compute, `report(data, size)` to show.

    Small parts run faster `workers` at a time, a process each, than each on all cores.
    A user's own `setting` stands for size and seed where it makes the recipe.
    """

    name: str
    title: str
    reference: str
    summary: str
    parts: Callable[[Size, int], Sequence[Part]]
    workers: int = field(default=1, kw_only=True)
    setting: Mapping[str, Any] | None = field(default=None, kw_only=True)
    report: Callable[[Mapping[str, dict[str, Any]], Size], Sequence[Section]]

    def identity(self, size: Size, seed: int) -> dict[str, Any]:
        """What makes a run of the recipe another run."""
        if self.setting is not None:
            return {"recipe": SETTING_FILE, "setting": self.setting}
        return {"recipe": self.name, "size": size, "seed": seed}


@dataclass(frozen=True)
class Outcome:
    """What a recipe left behind; `reused` are the parts found on disk."""

    folder: Path
    sections: tuple[Section, ...]
    data: Mapping[str, dict[str, Any]]
    reused: tuple[str, ...]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts of all sections."""
        return tuple(v for section in self.sections for v in section.verdicts)

    @property
    def passed(self) -> bool | None:
        """False if a verdict fails, True if all hold, None where some are undecided."""
        return overall(self.verdicts)


def run_recipe(
    recipe: Recipe,
    *,
    size: Size,
    seed: int,
    folder: Path,
    force: bool = False,
    workers: int = 1,
    progress: Callable[..., Any] = lambda title, steps, **known: None,
    announce: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Compute the parts that are missing in `folder`, then write figures and report.

    With more than one of `workers`, parts run in processes of their own; a script that
    asks for that must be importable (`if __name__ == "__main__":`). Raises `RunError`
    where the folder is another run's, in use, damaged or cannot be written.
    """
    parts = recipe.parts(size, seed)
    with Lock(make_folder(folder)):
        claim_folder(folder, recipe.identity(size, seed), force)
        with recording(folder, [seed]):
            found = {p.name: None if force else _read(folder, p) for p in parts}
            missing = [p for p in parts if not _is_of(p, found[p.name])]
            reused = tuple(p.name for p in parts if p not in missing)
            for line in [] if force else _reasons(folder, missing, found):
                announce(line)
            names = [p.name for p in missing]
            job = _Job(partial(recipe.parts, size, seed), folder, force, seed)
            if workers > 1 and len(missing) > 1:
                found |= run_in_processes(job, names, workers, progress, announce)
            else:
                found |= {name: job(name, progress, announce) for name in names}
            saved = {name: _through_json(part or {}) for name, part in found.items()}
            data = {name: part["data"] for name, part in saved.items()}
            made = {name: part.get("provenance") for name, part in saved.items()}
            with _blaming(folder, reused):
                sections = tuple(recipe.report(data, size))
                facts = _facts(recipe, parts, data, made, size, seed)
                _write_report(recipe, sections, facts, made, folder)
    return Outcome(folder, sections, data, reused)


@contextmanager
def _blaming(folder: Path, reused: Sequence[str]) -> Iterator[None]:
    """A report that cannot be made of what was found on disk: say which files."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        if not reused:
            raise
        names = ", ".join(f"{name}.json" for name in reused)
        raise RunError(
            f"{folder}: no report can be made of what was found there in {names} "
            f"({type(error).__name__}: {error}). Remove the damaged file and give the "
            "same command again: only what it held is made anew."
        ) from error


def _facts(
    recipe: Recipe,
    parts: Sequence[Part],
    data: Mapping[str, dict[str, Any]],
    made: Mapping[str, Any],
    size: Size,
    seed: int,
) -> dict[str, str]:
    """How the numbers were made, for the end of the report."""
    own, recorded = recipe.setting, provenance_facts(made)
    first = recorded.pop("seed")
    asked = (
        {"recipe": f"{recipe.name}, size {size}", "seed": first}
        if own is None
        else {"setting": recipe.name, **setting_facts(own)}
    )
    training = training_facts([part.config for part in parts], data, seed)
    reference = {"reference": recipe.reference}
    return asked | training | reference | recorded | report_facts()


@dataclass(frozen=True)
class _Job:
    """Computes and saves one part; other processes find the part by its name."""

    parts: Callable[[], Sequence[Part]]
    folder: Path
    force: bool
    seed: int

    def __call__(
        self, name: str, progress: Callable[..., Any], announce: Callable[[str], None]
    ) -> dict[str, Any]:
        part = next(part for part in self.parts() if part.name == name)
        announce(f"{name} …")
        own = _part_folder(self.folder, part, self.force)
        made = begin_part(own, self.seed)
        data = part.compute(PartContext(own, progress))
        content = {
            "fingerprint": part.fingerprint,
            "config": part.config,
            "provenance": end_part(own, made),
            "data": data,
        }
        write_json(self.folder / f"{part.name}.json", content)
        return content


def _write_report(
    recipe: Recipe,
    sections: Sequence[Section],
    facts: dict[str, str],
    made: Mapping[str, Any],
    folder: Path,
) -> None:
    from ..figures import save

    for section in sections:
        for figure in section.figures:
            drawn = figure.draw()
            with writing(folder / "figures"):
                save(drawn, folder / "figures", figure.name)
    write_html(
        folder / "report.html",
        title=recipe.title,
        sections=sections,
        facts=facts,
        figures=folder / "figures",
    )
    text = f"{sections_text(sections)}\n\n{facts_text(facts)}\n"
    write_atomic(folder / "table.md", text.encode())
    verdicts = [v for section in sections for v in section.verdicts]
    write_json(
        folder / "verdicts.json",
        {
            "facts": facts,
            "provenance": made,
            "passed": overall(verdicts),
            "verdicts": [vars(v) for v in verdicts],
            "tables": [
                {"caption": t.caption, "rows": list(t.rows)}
                for section in sections
                for t in section.tables
            ],
        },
    )


def _part_folder(folder: Path, part: Part, force: bool) -> Path:
    """Where the part keeps checkpoints; what another config or other sources left is
    not mixed in."""
    own = folder / "parts" / f"{part.name}-{part.fingerprint[:8]}"
    if force and own.exists():
        with writing(own):
            rmtree(own)
    return own


def _read(folder: Path, part: Part) -> dict[str, Any] | None:
    """What is saved of the part, perhaps by other sources or with another config."""
    path = folder / f"{part.name}.json"
    saved = read_saved(path)
    if saved is None:
        return None
    if "fingerprint" not in saved or not isinstance(saved.get("data"), dict):
        raise damaged(path, "it holds no data of a part")
    if not isinstance(saved.get("provenance", {}), dict):
        raise damaged(path, "it does not say what it was made with")
    return saved


def _is_of(part: Part, saved: Mapping[str, Any] | None) -> bool:
    return saved is not None and saved["fingerprint"] == part.fingerprint


def _reasons(
    folder: Path, missing: Sequence[Part], found: Mapping[str, Any]
) -> list[str]:
    """A line for every reason why something that is there cannot be used."""
    reasons: dict[str, list[str]] = {}
    for part in missing:
        saved, own = found[part.name], _part_folder(folder, part, False)
        if saved is not None:
            why = why_again(saved, part.config, sources())
            reasons.setdefault(f"{why}, computed again", []).append(part.name)
        elif not has_checkpoints(own):
            others = (folder / "parts").glob(f"{part.name}-{'[0-9a-f]' * 8}")
            for other in filter(has_checkpoints, others):
                why = "begun by other sources of iclax or with another config, starts "
                why += f"anew (the checkpoints in {other} are not used)"
                reasons.setdefault(why, []).append(part.name)
    return [f"{', '.join(names)}: {why}" for why, names in reasons.items()]


def _through_json(data: dict[str, Any]) -> dict[str, Any]:
    """The data as a report sees them, whether fresh or read back."""
    from ..runs import plain

    return json.loads(json.dumps(plain(data)))
