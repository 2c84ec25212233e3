"""Named arrays in safetensors files: data only, nothing that could run."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ._errors import RunError
from ._files import write_atomic


def pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The content of a safetensors file with these arrays."""
    from safetensors.numpy import save

    return save({name: np.array(values, order="C") for name, values in arrays.items()})


def unpack(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file; bfloat16 included. Raises `ValueError`."""
    from safetensors import SafetensorError, deserialize

    try:
        entries = deserialize(content)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return {
        name: np.frombuffer(bytes(entry["data"]), _dtype(entry["dtype"])).reshape(
            entry["shape"]
        )
        for name, entry in entries
    }


def write_tensors(
    path: Path, arrays: Mapping[str, np.ndarray], durable: bool = True
) -> None:
    """Write the arrays to `path`, atomically."""
    write_atomic(path, pack(arrays), durable)


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The arrays in `path`. Raises `RunError` if it is missing or damaged."""
    try:
        return unpack(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}).") from error


def _dtype(name: str) -> np.dtype:
    if name == "BF16":
        from ml_dtypes import bfloat16

        return np.dtype(bfloat16)
    kinds = {"F": "f", "I": "i", "U": "u", "C": "c"}
    if name == "BOOL":
        return np.dtype(bool)
    return np.dtype(f"{kinds[name[0]]}{int(name[1:]) // 8}")
