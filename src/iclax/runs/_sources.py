"""The sources of iclax as one hash: other sources may compute other numbers."""

import hashlib
import os
from functools import cache
from pathlib import Path

from .. import __version__

_PACKAGE = Path(__file__).parents[1]
_SHOWS = ("figures", "report", "cli")  # what they change is how numbers look


@cache
def sources() -> str:
    """Sixteen hexadecimal digits that name the sources from which numbers are computed.

    Read once a process. A version alone would not do: it outlives the fix of a bug.
    """
    return digest_sources(_PACKAGE)[:16]


def digest_sources(package: Path) -> str:
    """The SHA-256 of a package's Python files, but for the folders that only show."""
    digest = hashlib.sha256(__version__.encode())
    root = str(package)
    for folder, inner, names in os.walk(root):
        shown = _SHOWS if folder == root else ()
        inner[:] = sorted(name for name in inner if name not in shown)
        for name in sorted(names):
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    content = file.read()
                digest.update(f"\n{path[len(root) :]} {len(content)}\n".encode())
                digest.update(content)
    return digest.hexdigest()
