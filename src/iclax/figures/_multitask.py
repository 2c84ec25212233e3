"""Figures on several task families trained together, from saved data."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._legend import legend_below
from ._style import COLORS, MARKERS, grid, round_ticks, style


def escape_curves(families: Mapping[str, Any], labels: Mapping[str, str]) -> Any:
    """Escape steps against the number of families, one line a family.

    `families[name]` holds one dictionary for each number "families": "value", "low",
    "high", and whether some run had not escaped ("censored").
    """
    with style():
        figure, (axis,) = grid(1, width=5.6, height=3.4)
        styles = zip(COLORS * 2, MARKERS * 2, strict=True)
        for i, ((color, marker), (name, points)) in enumerate(
            zip(styles, families.items(), strict=False)
        ):
            # Side by side, so that intervals do not hide each other.
            shift = 1.025 ** (i - (len(families) - 1) / 2)
            at = shift * np.array([p["families"] for p in points])
            mean, low, high = (
                np.array([p[key] for p in points]) for key in ("value", "low", "high")
            )
            bars = [mean - low, high - mean]
            axis.errorbar(at, mean, bars, color=color, capsize=2)
            for x, point in zip(at, points, strict=True):
                face = "white" if point["censored"] else color
                axis.plot(x, point["value"], marker, color=color, mfc=face, zorder=3)
            axis.plot([], [], color=color, marker=marker, label=labels[name])
        counts = sorted({p["families"] for points in families.values() for p in points})
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xticks(counts, [str(k) for k in counts])
        axis.minorticks_off()
        round_ticks(axis.yaxis)
        axis.set_xlabel("families trained together")
        axis.set_ylabel("escape step")
        figure.legend(loc="outside right upper")
        return figure


def family_losses(
    families: Mapping[str, Any], labels: Mapping[str, str], steps: Any
) -> Any:
    """Normalized losses alone and with all families, a panel each."""
    with style():
        figure, axes = grid(len(families), width=2.5, height=2.1, columns=3)
        for axis, (name, found) in zip(axes, families.items(), strict=True):
            for color, k in zip(COLORS, (1, max(found)), strict=False):
                for i, curve in enumerate(found[k]["curves"]):
                    label = "alone" if k == 1 else f"with all {k}"
                    axis.plot(
                        steps, curve, color=color, lw=0.8, label=None if i else label
                    )
            axis.axhline(0.8, color="0.4", ls=":", lw=0.9)
            axis.set_ylim(0, 1.5)
            axis.set_title(labels[name])
            axis.set_xlabel("training step")
        for axis in axes[::3]:
            axis.set_ylabel("normalized loss")
        legend_below(figure, axes)
        return figure
