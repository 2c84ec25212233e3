"""Tables and verdicts for the terminal and for Markdown files."""

from collections.abc import Mapping, Sequence
from typing import Any

from ._format import cell
from ._section import Section, Table


def table_text(table: Table) -> str:
    """The table as GitHub Markdown with aligned columns."""
    grid = [list(table.columns)]
    grid += [[cell(row.get(column)) for column in table.columns] for row in table.rows]
    widths = [max(len(line[i]) for line in grid) for i in range(len(table.columns))]
    lines = ["| " + " | ".join(_padded(line, widths)) + " |" for line in grid]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([table.caption, "", lines[0], rule, *lines[1:]])


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [text.ljust(width) for text, width in zip(line, widths, strict=True)]


def facts_text(facts: Mapping[str, Any]) -> str:
    """How the numbers were made: one line a fact, under a heading."""
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    return "\n".join(["## Setting", "", *lines])


def sections_text(sections: Sequence[Section]) -> str:
    """Every section's tables and verdicts, one after the other."""
    blocks = []
    for section in sections:
        blocks.append(f"## {section.title}")
        blocks += [table_text(table) for table in section.tables]
        blocks += [f"{v.word}  {v.name}: {v.text}" for v in section.verdicts]
    return "\n\n".join(blocks)
