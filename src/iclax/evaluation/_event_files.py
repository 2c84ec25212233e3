"""Scalars in TensorBoard event files, read without TensorFlow."""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from .._errors import SettingError

Fields = Iterator[tuple[int, int | bytes]]


def read_event_file(path: Path) -> dict[str, Float[np.ndarray, "points 2"]]:
    """Each scalar tag of an event file with its (step, value) rows, sorted by step.

    Reads what TensorFlow, PyTorch and tensorboardX write: records framed as in TFRecord
    that hold `Event` protocol buffers. Of a step written twice the later value counts,
    and an unfinished last record (a run that is still writing) is left out.
    """
    found: dict[str, dict[int, float]] = {}
    try:
        for record in _records(path.read_bytes()):
            step, summaries = 0, []
            for number, value in _fields(record):
                if number == 2:
                    step = int(value)
                elif number == 5:
                    summaries.append(value)
            for tag, scalar in _scalars(summaries):
                found.setdefault(tag, {})[step] = scalar
    except (IndexError, struct.error, UnicodeDecodeError, TypeError):
        raise SettingError(
            str(path), "bytes that are not TensorBoard events", "an event file"
        ) from None
    return {tag: np.array(sorted(points.items())) for tag, points in found.items()}


def _records(data: bytes) -> Iterator[bytes]:
    """TFRecord framing: length (8 bytes), checksum (4), record, checksum (4)."""
    start = 0
    while start + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        end = start + 12 + length
        if end + 4 > len(data):
            return
        yield data[start + 12 : end]
        start = end + 4


def _fields(message: bytes) -> Fields:
    """(field number, value) of a protocol buffer; fixed-width values stay bytes."""
    at = 0
    while at < len(message):
        head, at = _varint(message, at)
        number, kind = head >> 3, head & 7
        if kind == 0:
            value, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = message[at : at + size], at + size
        elif kind == 2:
            size, at = _varint(message, at)
            value, at = message[at : at + size], at + size
        else:
            raise TypeError(kind)
        yield number, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _scalars(summaries: list) -> Iterator[tuple[str, float]]:
    """(tag, value) of each scalar in `Summary` messages."""
    for summary in summaries:
        for number, item in _fields(summary):
            if number != 1:
                continue
            parts = dict(_fields(item))
            value = _simple_value(parts)
            if value is not None and 1 in parts:
                yield parts[1].decode(), value


def _simple_value(parts: dict) -> float | None:
    if 2 in parts:  # simple_value
        return struct.unpack("<f", parts[2])[0]
    if 8 not in parts:  # not a tensor either
        return None
    tensor = dict(_fields(parts[8]))
    wide = tensor.get(1) == 2  # dtype: 1 is float, 2 is double
    content = tensor.get(4) or tensor.get(6 if wide else 5)
    if tensor.get(1) not in (1, 2) or not isinstance(content, bytes):
        return None
    if len(content) != (8 if wide else 4):
        return None
    return struct.unpack("<d" if wide else "<f", content)[0]
