"""A table of numbers in a CSV file; errors name the line."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from .._errors import SettingError


@dataclass(frozen=True, eq=False)
class Table:
    """The cells of a file as text, with the line that each row ends on."""

    path: Path
    names: list[str]
    rows: list[list[str]]
    lines: list[int]

    def filled(self, column: int) -> Bool[np.ndarray, " rows"]:
        """In which rows the cell is not empty."""
        return np.array([bool(row[column].strip()) for row in self.rows])

    def has_numbers(self, column: int) -> bool:
        """Whether any cell of the column is a number: others hold names or dates."""
        return any(_is_number(row[column]) for row in self.rows)

    def numbers(
        self, column: int, kept: Bool[np.ndarray, " rows"]
    ) -> Float[np.ndarray, " kept"]:
        """The numbers in the `kept` rows of a column."""
        for row, line, is_kept in zip(self.rows, self.lines, kept, strict=True):
            if is_kept and not _is_number(row[column]):
                found = f"{row[column]!r} in line {line}"
                allowed = "a number, cells separated by commas"
                raise SettingError(str(self.path), found, allowed)
        return np.array([float(self.rows[i][column]) for i in np.flatnonzero(kept)])


def read_table(path: Path) -> Table:
    """The table in a file, with names made up where its first line holds numbers.

    Raises `SettingError` for a file that is not text, names used twice, lines of
    different length and fewer than two rows or columns.
    """
    lines, rows = _cells(path)
    if all(_is_number(cell) for cell in rows[0]):
        names = [f"column {i}" for i in range(len(rows[0]))]
    else:
        names = [cell.strip() for cell in rows[0]]
        lines, rows = lines[1:], rows[1:]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SettingError(str(path), f"two columns named {twice!r}", "distinct names")
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(names):
            found = f"{len(row)} cells in line {line}"
            raise SettingError(str(path), found, f"{len(names)} cells a line")
    if len(names) < 2 or len(rows) < 2:
        raise SettingError(
            str(path),
            f"{len(rows)} rows of {len(names)} columns",
            "steps and at least one curve, separated by commas, at least two rows",
        )
    return Table(path, names, rows, lines)


def _cells(path: Path) -> tuple[list[int], list[list[str]]]:
    """The rows that are not empty, at least one, and their lines."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error):
        found, allowed = "bytes that are not UTF-8 text", "a table saved as UTF-8"
        raise SettingError(str(path), found, allowed) from None
    if not rows:
        raise SettingError(str(path), "an empty file", "a table of numbers")
    return [line for line, _ in rows], [row for _, row in rows]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
