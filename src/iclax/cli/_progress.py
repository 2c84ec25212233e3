"""Progress bars on a terminal, silence elsewhere."""

from typing import Any


def progress_factory() -> Any:
    """A function (title, steps, ...) -> progress for `iclax.training.train`."""
    from ..training import Bar

    def factory(title: str, steps: int, **known: Any) -> Any:
        return Bar(title, **known)

    return factory
