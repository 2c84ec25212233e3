"""Files that are either whole or not there: written beside, synced, then renamed."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import RunError


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


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` atomically. Raises `RunError` if the disk refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(
            f"cannot write {path}: {reason}; what was saved before is kept"
        ) from None


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as JSON, atomically; floats at full precision."""
    text = json.dumps(plain(value), indent=1, ensure_ascii=False)
    write_bytes(path, (text + "\n").encode())
