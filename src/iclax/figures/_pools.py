"""Figures on finite task pools, from saved data."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ._legend import legend_below
from ._style import COLORS, MARKERS, grid, round_ticks, style

_LAWS = {"pretraining": "tasks of the pool", "new": "new tasks"}


def pool_risks(
    pools: Mapping[int, Sequence[Any]],
    crossing: Mapping[str, float] | None,
    labels: Mapping[str, str],
) -> Any:
    """Risk against the size of the pool, on its tasks and on new ones."""
    return _panels(pools, "risks", labels, labels, "risk / d", crossing)


def pool_distances(
    pools: Mapping[int, Sequence[Any]],
    crossing: Mapping[str, float] | None,
    labels: Mapping[str, str],
) -> Any:
    """Distance of the transformer to dMMSE and to ridge against the pool's size."""
    to = {name: f"to {labels[name]}" for name in ("dmmse", "ridge")}
    return _panels(pools, "distances", labels, to, "squared distance / d", crossing)


def _panels(
    pools: Mapping[int, Sequence[Any]],
    what: str,
    order: Iterable[str],
    labels: Mapping[str, str],
    label: str,
    crossing: Mapping[str, float] | None,
) -> Any:
    exponents = sorted(pools)
    with style():
        figure, axes = grid(2, width=3.3, height=2.8)
        for axis, (law, title) in zip(axes, _LAWS.items(), strict=True):
            for name, text in labels.items():
                i = list(order).index(name)  # one color for a predictor in all figures
                values = np.array(
                    [[run[what][law][name] for run in pools[e]] for e in exponents]
                )
                axis.plot(
                    exponents,
                    values.mean(1),
                    MARKERS[i] + "-",
                    color=COLORS[i],
                    label=text,
                )
                axis.fill_between(
                    exponents,
                    values.min(1),
                    values.max(1),
                    color=COLORS[i],
                    alpha=0.2,
                    lw=0,
                )
            if crossing is not None and law == "new":
                axis.axvspan(crossing["low"], crossing["high"], color="0.8", lw=0)
                axis.axvline(
                    crossing["value"], color="0.4", ls=":", lw=1.0, label="crossing"
                )
            axis.set_yscale("log")
            round_ticks(axis.yaxis)
            axis.set_xticks(exponents, [f"$2^{{{e}}}$" for e in exponents])
            axis.set_title(title)
            axis.set_xlabel("pre-training tasks")
        axes[0].set_ylabel(label)
        legend_below(figure, axes)
        return figure


def path_curves(pools: Mapping[int, Sequence[Any]], labels: Mapping[str, str]) -> Any:
    """Risk along paths between two tasks of the pool, a panel a pool."""
    with style():
        figure, axes = grid(len(pools), width=2.5, height=2.5)
        for axis, (exponent, runs) in zip(axes, pools.items(), strict=True):
            for i, (name, label) in enumerate(labels.items()):
                values = np.array([run["path"][name] for run in runs])
                at = np.linspace(0, 1, values.shape[1])
                axis.plot(
                    at, values.mean(0), color=COLORS[i], marker=MARKERS[i], label=label
                )
            axis.set_title(f"$2^{{{exponent}}}$ tasks")
            axis.set_xlabel("from one task to another")
        top = max(axis.get_ylim()[1] for axis in axes)
        for axis in axes:
            axis.set_ylim(0, top)
        axes[0].set_ylabel("risk / d")
        legend_below(figure, axes)
        return figure
