"""Reading a user's matrices, with errors in the user's words."""

from hashlib import sha256
from pathlib import Path

import numpy as np

from .._errors import SettingError


def load_array(path: Path, key: str) -> np.ndarray:
    """A float64 array from a .npy file, or a .csv file with or without a header.

    Raises `SettingError` naming `key` for a missing file, a folder, another ending or
    text that is not numbers.
    """
    _check_file(path, key)
    readers = {".npy": _read_npy, ".csv": _read_csv}
    if path.suffix not in readers:
        raise SettingError(key, f'a file ending in "{path.suffix}"', ".csv or .npy")
    try:
        return readers[path.suffix](path)
    except OSError as error:
        raise _unreadable(path, key, error) from None
    except (ValueError, TypeError, EOFError) as error:
        raise SettingError(
            key, f"a file that cannot be read ({error})", "numbers"
        ) from None


def file_digest(path: Path, key: str) -> str:
    """The SHA-256 of a file's bytes; `SettingError` naming `key` as `load_array`."""
    _check_file(path, key)
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise _unreadable(path, key, error) from None


def _check_file(path: Path, key: str) -> None:
    allowed = "the path of a .csv or .npy file"
    try:
        there, folder = path.exists(), path.is_dir()
    except OSError as error:
        raise _unreadable(path, key, error) from None
    if not there:
        raise SettingError(key, f"no file at {path}", allowed)
    if folder:
        raise SettingError(key, f"a folder at {path}", allowed)


def _unreadable(path: Path, key: str, error: OSError) -> SettingError:
    reason = error.strerror or str(error)
    found = f"{path}, which cannot be read ({reason})"
    return SettingError(key, found, "a file that you may read")


def load_matrix(path: Path, key: str) -> np.ndarray:
    """A matrix of finite numbers, one row a point; else as `load_array`."""
    matrix = load_array(path, key)
    matrix = matrix[:, None] if matrix.ndim == 1 else matrix
    if matrix.ndim != 2 or matrix.size == 0:
        raise SettingError(key, f"shape {matrix.shape}", "a matrix, one row a point")
    if not np.all(np.isfinite(matrix)):
        row, column = np.argwhere(~np.isfinite(matrix))[0] + 1
        raise SettingError(
            key,
            f"a missing, NaN or infinite value in row {row}, column {column}",
            "finite numbers; remove or impute the row first",
        )
    return matrix


def _read_npy(path: Path) -> np.ndarray:
    return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)


def _read_csv(path: Path) -> np.ndarray:
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    rows = [(i, line.split(",")) for i, line in enumerate(lines, 1) if line.strip()]
    if rows and _is_header(rows[0][1]):
        rows = rows[1:]
    return np.array([_numbers(i, row, len(rows[0][1])) for i, row in rows])


def _numbers(line: int, row: list[str], columns: int) -> list[float]:
    """The numbers of one line of text, NaN where a cell is empty."""
    if len(row) != columns:
        raise ValueError(f"line {line} has {len(row)} values, those above {columns}")
    try:
        return [float(cell) if cell.strip() else np.nan for cell in row]
    except ValueError as error:
        raise ValueError(f"line {line}: {error}") from None


def _is_header(row: list[str]) -> bool:
    """Whether a cell is a name: an empty one may be a missing number."""
    try:
        [float(cell) for cell in row if cell.strip()]
    except ValueError:
        return True
    return not any(cell.strip() for cell in row)


def load_dataset(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows and labels of a dataset bundled with scikit-learn (labels standardized)."""
    try:
        from sklearn.datasets import load_diabetes
    except ImportError:
        raise SettingError(
            "covariates.dataset",
            f'"{name}", but scikit-learn is not installed',
            'the extra: pip install "iclax[data]"',
        ) from None
    bundle = load_diabetes(scaled=False)
    labels = np.asarray(bundle.target, dtype=np.float64)
    return np.asarray(bundle.data), (labels - labels.mean()) / labels.std()
