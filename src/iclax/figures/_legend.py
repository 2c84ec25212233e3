"""One legend a figure, below its panels, in as many columns as fit."""

from collections.abc import Iterator, Sequence
from textwrap import fill
from typing import Any

_MOST_COLUMNS = 4
_SHARE = 0.98  # of the figure's width that a legend may take


def legend_below(figure: Any, axes: Sequence[Any]) -> None:
    """Every labeled artist of `axes` once. The figure grows by the legend's height, so
    that the panels keep theirs; labels too long for it are broken into lines."""
    handles, labels = _labeled(axes)
    if not labels:
        return
    for text, columns in _layouts(labels):
        size = _place(figure, handles, text, columns)
        if size.width <= _SHARE * figure.bbox.width:
            break
        figure.legends[-1].remove()
    else:
        size = _place(figure, handles, text, columns)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + size.height / figure.dpi)


def _labeled(axes: Sequence[Any]) -> tuple[list[Any], list[str]]:
    """Handles and labels of all axes; of equal labels the first."""
    found: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)


def _layouts(labels: list[str]) -> Iterator[tuple[list[str], int]]:
    """Texts and numbers of columns, from the widest legend to the narrowest."""
    for columns in range(min(_MOST_COLUMNS, len(labels)), 0, -1):
        yield labels, columns
    for letters in range(max(map(len, labels)) - 1, 7, -1):
        yield [fill(label, letters) for label in labels], 1


def _place(figure: Any, handles: list[Any], labels: list[str], columns: int) -> Any:
    """Add the legend; returns its extent in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    place = "outside lower center"
    legend = figure.legend(handles, labels, loc=place, ncols=columns)
    return legend.get_window_extent(FigureCanvasAgg(figure).get_renderer())
