"""What a report is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """A table: `columns` and one dictionary of cells a row."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Figure:
    """A figure by file `name`; `draw` returns a matplotlib figure from saved data."""

    name: str
    caption: str
    draw: Callable[[], Any]


@dataclass(frozen=True)
class Verdict:
    """One statement that was tested: whether it held, with the numbers that say so.

    `passed` is True (holds), False (fails) or None (not decided: the numbers at hand
    cannot tell, and `text` says why).
    """

    name: str
    passed: bool | None
    text: str

    @property
    def word(self) -> str:
        """The outcome in words."""
        return {True: "holds", False: "FAILS", None: "not decided"}[self.passed]


@dataclass(frozen=True)
class Section:
    """One section of a report: paragraphs, tables, figures and verdicts."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    verdicts: Sequence[Verdict] = field(default=())

    @property
    def passed(self) -> bool | None:
        """The outcome of all its verdicts together, as in `overall`."""
        return overall(self.verdicts)


def overall(verdicts: Sequence[Verdict]) -> bool | None:
    """False if one fails, True if there are some and all hold, None otherwise."""
    outcomes = [verdict.passed for verdict in verdicts]
    if False in outcomes:
        return False
    return True if outcomes and all(outcomes) else None


def tally(verdicts: Sequence[Verdict]) -> str:
    """How many verdicts hold, fail and are not decided, in words."""
    if not verdicts:
        return "not judged: this report has no verdict"
    outcomes = [verdict.passed for verdict in verdicts]
    held, failed, undecided = (outcomes.count(v) for v in (True, False, None))
    text = f"{held} of {len(verdicts)} verdicts hold"
    text += f", {failed} fail{'s' if failed == 1 else ''}" if failed else ""
    verb = "is" if undecided == 1 else "are"
    return text + (f", {undecided} {verb} not decided" if undecided else "")
