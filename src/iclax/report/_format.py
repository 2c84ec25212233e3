"""How numbers look in tables: digits that the uncertainty supports."""

from collections.abc import Mapping
from math import floor, isfinite, log10
from typing import Any

_MOST_DECIMALS = 7  # more are shown as powers of ten


def with_error(value: float, error: float, heavy_tailed: bool | None = False) -> str:
    """`1.2345 ± 0.0021`: two digits of the standard error.

    `1.23 ± 0.09 (heavy tails)` where the error cannot be trusted.
    """
    remark = " (heavy tails)" if heavy_tailed else ""
    if not (isfinite(value) and isfinite(error)) or error <= 0:
        return f"{value:.6g}{remark}"
    decimals = max(0, 1 - floor(log10(error)))
    if decimals > _MOST_DECIMALS:
        digits = max(1, floor(log10(max(abs(value), error))) + decimals)
        return f"{value:.{digits}e} ± {error:.1e}{remark}"
    return f"{value:.{decimals}f} ± {error:.{decimals}f}{remark}"


def estimate_with_error(estimate: Mapping[str, Any]) -> str:
    """`with_error` of a saved estimate: `vars` of an `evaluation.Estimate`."""
    return with_error(
        estimate["mean"],
        estimate["standard_error"],
        estimate.get("heavy_tailed", False),
    )


def cell(value: Any) -> str:
    """A table cell as text; floats to six significant digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)
