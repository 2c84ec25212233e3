"""One look for every figure: color-blind-safe, readable in print."""

from contextlib import contextmanager
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

# Okabe and Ito's palette, darkest first: told apart by every common color vision.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "font.size": 9,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "pdf.fonttype": 42,
    "savefig.dpi": 160,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}

# Ticks of a logarithmic axis within a decade, from coarse to fine.
_MANTISSAS = (
    (1, 2, 5),
    (1, 1.5, 2, 3, 5, 7),
    *([1 + step * i for i in range(round(9 / step))] for step in (0.5, 0.2, 0.1, 0.05)),
)
_LEAST_TICKS = 3


@contextmanager
def style():
    """A context in which figures take the house style; global settings are kept."""
    import matplotlib as mpl
    from cycler import cycler

    with mpl.rc_context(_STYLE | {"axes.prop_cycle": cycler(color=COLORS)}):
        yield


def grid(count: int, width: float = 2.6, height: float = 2.3, columns: int = 4) -> Any:
    """A figure with `count` axes on a grid; returns (figure, list of axes)."""
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(max(width * columns, 3.2), height * rows))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[count:]:
        unused.set_visible(False)
    return figure, list(axes[:count])


def plain_ticks(axis: Any, *ticks: float | int) -> None:
    """Numbers on the x axis or y axis (`axes.xaxis`) as they are, not as powers."""
    from matplotlib.ticker import NullFormatter

    axis.set_minor_formatter(NullFormatter())
    axis.set_ticks(ticks, [f"{tick:.12g}" for tick in ticks])


def round_ticks(axis: Any) -> None:
    """Round numbers on a logarithmic axis, more of them where it is short."""
    low, high = sorted(axis.get_view_interval())
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    shown: list[float] = []
    for mantissas in _MANTISSAS if high > 10 * low else _MANTISSAS[1:]:
        numbers = [m * 10.0**e for e in decades for m in mantissas]
        shown = [number for number in numbers if low < number < high]
        if len(shown) >= _LEAST_TICKS:
            break
    plain_ticks(axis, *shown)


def save(figure: Any, folder: Path, name: str) -> None:
    """Write `name`.png and `name`.pdf into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with style():
        figure.savefig(folder / f"{name}.png")
        figure.set_layout_engine("none")  # laid out once: it is most of the time
        figure.savefig(folder / f"{name}.pdf", metadata={"CreationDate": None})
