"""Reading a user's matrices, with errors in the user's words."""

from pathlib import Path

import numpy as np

from .._errors import SettingError


def load_array(path: Path, key: str) -> np.ndarray:
    """A float64 array from a .npy file, or a .csv file with or without a header.

    Raises `SettingError` naming `key` for a missing file, a folder, another ending or
    text that is not numbers.
    """
    if not path.exists():
        raise SettingError(key, f"no file at {path}", "the path of a .csv or .npy file")
    if path.is_dir():
        raise SettingError(
            key, f"a folder at {path}", "the path of a .csv or .npy file"
        )
    readers = {".npy": _read_npy, ".csv": _read_csv}
    if path.suffix not in readers:
        raise SettingError(key, f'a file ending in "{path.suffix}"', ".csv or .npy")
    try:
        return readers[path.suffix](path)
    except (ValueError, OSError, EOFError) as error:
        raise SettingError(
            key, f"a file that cannot be read ({error})", "numbers"
        ) from None


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
    rows = [line.split(",") for line in path.read_text().splitlines() if line.strip()]
    if rows and _is_header(rows[0]):
        rows = rows[1:]
    return np.array(
        [[float(cell) if cell.strip() else np.nan for cell in r] for r in rows]
    )


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
