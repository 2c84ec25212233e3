"""How numbers reach the terminal: aligned text, or one JSON object."""

import json
import sys
from typing import Any

import numpy as np


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on standard output."""
    from ..runs import plain

    print(json.dumps(plain(value), ensure_ascii=False))


def print_table(rows: list[tuple[str, str]], file: Any = None) -> None:
    """Two aligned columns."""
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        print(f"  {name:<{width}}  {text}", file=file or sys.stdout)


def matrix_text(matrix: np.ndarray, indent: int = 4) -> str:
    """A matrix to five digits, one row a line."""
    body = np.array2string(np.asarray(matrix), precision=5, suppress_small=True)
    return "\n".join(" " * indent + line for line in body.splitlines())
