"""Progress bars on a terminal, silence elsewhere."""

import sys
from typing import Any


def progress_factory() -> Any:
    """A function (title, total) -> progress callback for `iclax.training.train`."""
    from ..training import progress_bar

    def factory(title: str, total: int) -> Any:
        return progress_bar(title, total) if sys.stderr.isatty() else None

    return factory
