"""How numbers look in tables: digits that the uncertainty supports."""

from math import floor, isfinite, log10
from typing import Any


def with_error(value: float, error: float) -> str:
    """`1.2345 ± 0.0021`: two digits of the standard error."""
    if not (isfinite(value) and isfinite(error)) or error <= 0:
        return f"{value:.6g}"
    decimals = max(0, 1 - floor(log10(error)))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def cell(value: Any) -> str:
    """A table cell as text; floats to six significant digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)
