"""Files that are whole or absent: atomic writes, locks, and errors in plain words."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from ._errors import RunError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)


def write_atomic(path: Path, content: bytes, durable: bool = True) -> None:
    """Write `content` to `path` so that readers see the old file or the new, whole.

    The bytes go to a temporary file beside it, which is then renamed. With `durable`
    they are on the disk (fsync of file and folder) before this returns. Raises
    `RunError` where the disk is full or the folder cannot be written; what was there
    stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            _write(temporary, content, durable)
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        if durable:
            _sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files of writers that were killed."""
    with writing(folder):
        for path in folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """The folder `path`, made where it is missing."""
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says about a failed write into a `RunError` about `path`."""
    try:
        yield
    except OSError as error:
        raise RunError(_explain(path, error)) from error


class Lock:
    """The right to write in a folder; one process at a time has it.

    Held through `flock`, so that the system frees it when its process dies, however it
    dies. Raises `RunError` naming the process that has it.
    """

    def __init__(self, folder: Path):
        self._path = folder / ".lock"
        self._handle: int | None = None

    def __enter__(self) -> "Lock":
        import fcntl

        with writing(self._path):
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise self._refusal(error) from error
        self._handle = handle
        with writing(self._path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _refusal(self, error: OSError) -> RunError:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            return RunError(_explain(self._path, error))
        holder = self._path.read_text().strip() or "unknown"
        return RunError(
            f"{self._path.parent} is in use by another process (pid {holder}). Wait "
            "for it to end, or choose another folder."
        )


def is_locked(folder: Path) -> bool:
    """Whether a process holds the `Lock` of a folder right now."""
    import fcntl

    try:
        handle = os.open(folder / ".lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(handle)


def _write(path: Path, content: bytes, durable: bool) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        if durable:
            os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explain(path: Path, error: OSError) -> str:
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in _FULL:
        return (
            f"no room to write {path} ({reason}). What was saved before is kept; free "
            "some space and give the same command again."
        )
    if error.errno in _FORBIDDEN:
        return (
            f"{path} cannot be written ({reason}). What is there is kept; choose a "
            "folder that you may write."
        )
    return f"{path} cannot be written ({reason})."
