"""How numbers reach the terminal: aligned text, or one JSON object."""

import json
import sys
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Arrays and NumPy scalars as what JSON can hold, at full precision."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on standard output."""
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
