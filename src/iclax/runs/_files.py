"""Results as JSON at full precision, whole or not there."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from .._files import make_folder, write_atomic


def plain(value: Any) -> Any:
    """Arrays and NumPy scalars as what JSON can hold, at full precision."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray) or hasattr(value, "__array__"):
        return plain(np.asarray(value).tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as JSON, atomically; floats at full precision."""
    text = json.dumps(plain(value), indent=1, ensure_ascii=False)
    make_folder(path.parent)
    write_atomic(path, (text + "\n").encode())
