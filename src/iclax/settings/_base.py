"""What every table of a setting file shares."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, ClassVar, Union

import numpy as np
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from .._errors import SettingError
from .._psd import as_covariance

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Whole = Annotated[int, Field(ge=0, le=2**31 - 1)]
CovarianceSpec = float | list[float] | list[list[float]] | str


_folder: ContextVar[Path] = ContextVar("folder", default=Path("."))


def current_folder() -> Path:
    """The folder that relative paths of the setting being built start from."""
    return _folder.get()


@contextmanager
def building_in(folder: Path) -> Iterator[None]:
    """Within it, `current_folder` is `folder`."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


class Table(BaseModel):
    """One table of a setting file: unknown keys and silent conversions are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    reference: ClassVar[str] = ""

    @classmethod
    def summary(cls) -> str:
        """The first line of the table's docstring, shown by `iclax list`."""
        return (cls.__doc__ or "").strip().splitlines()[0]

    def files(self, key: str) -> dict[str, str]:
        """The paths that this table, which stands at `key`, reads: by their key."""
        return {}


def one_of(*tables: type[Table], own: type[Table], default: str | None = None) -> Any:
    """The union of `tables` by their kind, and of `own` for "module:Class".

    A table without a kind is of the `default` one, if there is one.
    """

    def kind_of(table: Any) -> str | None:
        stated = table.get("kind") if isinstance(table, dict) else table.kind
        if isinstance(stated, str) and ":" in stated:
            return "own"
        return default if stated is None else str(stated)

    tagged = [Annotated[table, Tag(kind(table))] for table in tables]
    union = Union[(*tagged, Annotated[own, Tag("own")])]
    return Annotated[union, Discriminator(kind_of)]


def kind(table: type[Table]) -> str:
    """The kind that a table is of."""
    return table.model_fields["kind"].annotation.__args__[0]


def covariance(
    spec: CovarianceSpec, key: str, dim: int | None, named: dict[str, Any] | None = None
) -> np.ndarray:
    """A covariance matrix from a number, a diagonal, a matrix or one of the `named`."""
    if isinstance(spec, str):
        named = named or {}
        if spec not in named:
            allowed = ", ".join(f'"{name}"' for name in named) or "numbers"
            raise SettingError(
                key, f'"{spec}"', f"{allowed}, a number, a list of numbers or a matrix"
            )
        spec = named[spec]
    if isinstance(spec, list) and len({np.ndim(row) for row in spec}) > 1:
        raise SettingError(key, "rows mixed with numbers", "numbers or rows, not both")
    if isinstance(spec, list) and spec and isinstance(spec[0], list):
        lengths = sorted({len(row) for row in spec})  # type: ignore[arg-type]
        if len(lengths) > 1:
            raise SettingError(key, f"rows of lengths {lengths}", "a square matrix")
    return as_covariance(spec, key, dim)
