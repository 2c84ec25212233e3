"""Checks of the numbers of a prompt. Traced values pass: they have none yet."""

from typing import Any

import numpy as np

from .._errors import SettingError
from .._lazy import jax


def check_context_length(value: Any) -> None:
    """Raise `SettingError` unless `value` is a whole number of at least 1."""
    if not _is_traced_scalar(value):
        number = _scalar(value)
        if number is None or number.dtype.kind not in "iu" or number < 1:
            allowed = "a whole number of at least 1"
            raise SettingError("prompt.context_length", repr(value), allowed)


def check_noise_std(value: Any) -> None:
    """Raise `SettingError` unless `value` is a finite number of at least 0."""
    if not _is_traced_scalar(value):
        number = _scalar(value)
        if number is None or not 0 <= number < float("inf"):
            raise SettingError("prompt.noise_std", repr(value), "a finite number ≥ 0")


def check_shape(key: str, source: Any, values: Any, shape: tuple[int, ...]) -> None:
    """Raise `SettingError` unless what `source` drew has this shape."""
    if np.shape(values) != shape:
        found = f"values of shape {np.shape(values)} drawn by {type(source).__name__}"
        raise SettingError(key, found, f"shape {shape}")


def _is_tracer(value: Any) -> bool:
    return hasattr(value, "aval") and isinstance(value, jax.core.Tracer)


def _is_traced_scalar(value: Any) -> bool:
    return _is_tracer(value) and value.ndim == 0


def _scalar(value: Any) -> np.ndarray | None:
    """A concrete real number as a 0-d array; None for anything else."""
    if _is_tracer(value) or np.ndim(value) != 0:
        return None
    number = np.asarray(value)
    return number if number.dtype.kind in "iufV" else None  # V: bfloat16
