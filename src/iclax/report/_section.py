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
    """One statement that was tested: whether it held, with the numbers that say so."""

    name: str
    passed: bool
    text: str


@dataclass(frozen=True)
class Section:
    """One section of a report: paragraphs, tables, figures and verdicts."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    verdicts: Sequence[Verdict] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether every verdict of the section held."""
        return all(verdict.passed for verdict in self.verdicts)
