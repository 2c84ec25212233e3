"""How numbers reach the terminal: aligned text, or one JSON object."""

import json
import sys
from typing import Any

import numpy as np


def tolerate_narrow_output() -> None:
    """Let an output that is not UTF-8 show `?` for what it lacks: no result is lost."""
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict":
            stream.reconfigure(errors="replace")


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on standard output, escaped where that is not UTF-8."""
    from ..runs import plain

    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    narrow = not encoding.startswith("utf")
    print(json.dumps(plain(value), ensure_ascii=narrow))


def print_table(rows: list[tuple[str, ...]], file: Any = None) -> None:
    """Aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for *cells, last in rows:
        padded = [f"{cell:<{w}}" for cell, w in zip(cells, widths, strict=False)]
        print("  " + "  ".join([*padded, last]), file=file or sys.stdout)


def matrix_text(matrix: np.ndarray, indent: int = 4) -> str:
    """A matrix to five digits, one row a line."""
    body = np.array2string(np.asarray(matrix), precision=5, suppress_small=True)
    return "\n".join(" " * indent + line for line in body.splitlines())
