"""Figures on task diversity: angles, plateaus and adapters, from saved data."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._legend import legend_below
from ._style import COLORS, MARKERS, grid, plain_ticks, round_ticks, style

_RING: dict[str, Any] = {
    "marker": "o",
    "ls": "",
    "mfc": "white",
    "ms": 6,
    "mew": 1.2,
    "zorder": 3,
}
_CROSS: dict[str, Any] = {"marker": "x", "ls": "", "ms": 5, "mew": 1.2, "zorder": 4}


def angle_curves(data: Mapping[str, Any]) -> Any:
    """Risk against the angle: exact lines, simulated rings, trained crosses."""
    with style():
        figure, (axis,) = grid(1, width=4.6, height=3.0)
        for color, (name, case) in zip(COLORS, data["cases"].items(), strict=False):
            label = "one subspace" if name == "1" else f"union of {name}"
            axis.plot(case["fine_angles"], case["fine_risks"], color=color, label=label)
            _simulated_and_trained(axis, case["angle"], color)
        _label_points(axis)
        axis.set_xlabel("angle of the test subspace (degrees)")
        axis.set_ylabel("risk (noiseless target)")
        legend_below(figure, [axis])
        return figure


def length_curves(data: Mapping[str, Any]) -> Any:
    """Risk against the prompt length at test time."""
    with style():
        figure, (axis,) = grid(1, width=4.6, height=3.0)
        for color, (name, case) in zip(COLORS, data["cases"].items(), strict=False):
            lengths = [point["at"] for point in case["length"]]
            label = "one subspace" if name == "1" else f"union of {name}"
            exact = [point["exact"] for point in case["length"]]
            best = case["retrained"]
            axis.plot(lengths, exact, color=color, label=label)
            axis.plot(lengths, best, color=color, ls="--", lw=0.9)
            _simulated_and_trained(axis, case["length"], color)
        axis.plot([], [], "k--", lw=0.9, label="optimum for each length")
        _label_points(axis)
        axis.set_xscale("log")
        axis.set_yscale("log")
        plain_ticks(axis.xaxis, *lengths)
        round_ticks(axis.yaxis)
        axis.set_xlabel("prompt length at test time")
        axis.set_ylabel("risk (noiseless target)")
        legend_below(figure, [axis])
        return figure


def _simulated_and_trained(axis: Any, points: Sequence[Any], color: str) -> None:
    """Rings with standard errors and crosses, in the color of their theory line."""
    at = [point["at"] for point in points]
    axis.errorbar(
        at,
        [point["optimum"]["mean"] for point in points],
        yerr=[point["optimum"]["standard_error"] for point in points],
        color=color,
        **_RING,
    )
    trained = [np.mean(point["trained"]) for point in points]
    axis.plot(at, trained, color=color, **_CROSS)


def _label_points(axis: Any) -> None:
    """What rings and crosses are, whatever their color."""
    axis.plot([], [], color="black", label="simulated optimum (± s.e.)", **_RING)
    axis.plot([], [], color="black", label="trained layers (mean)", **_CROSS)


def adapter_curves(data: Mapping[str, Any]) -> Any:
    """Risk against the adapter's rank: exact lines, trained points."""
    with style():
        figure, (axis,) = grid(1, width=4.6, height=3.0)
        for color, marker, case in zip(COLORS, MARKERS, data["cases"], strict=False):
            axis.plot(
                case["ranks"],
                case["exact"],
                color=color,
                label=f"{case['angle']:g}°, exact",
            )
            for values in zip(*case["trained"][1:], strict=True):
                axis.plot(case["ranks"][1:], values, marker, color=color, alpha=0.6)
            axis.axhline(case["optimal_risk"], color="0.6", lw=0.8, label="optimum")
        axis.plot([], [], "o", color="0.4", alpha=0.6, label="trained")
        axis.axvline(2 * data["rank"], color="0.4", ls=":", label="rank 2r")
        axis.set_xlabel("adapter rank q")
        axis.set_ylabel("risk on the new subspace")
        legend_below(figure, [axis])
        return figure


def flow_curves(data: Mapping[str, Any]) -> Any:
    """Exact flow over simulated GD, a panel for each parametrization."""
    kinds = {name: kind for name, kind in data["kinds"].items() if kind["flow_curves"]}
    with style():
        figure, axes = grid(len(kinds), width=3.2, height=2.7, columns=2)
        for axis, (name, kind) in zip(axes, kinds.items(), strict=True):
            cases = {(c["shared"], c["objective"]): c for c in kind["flow_curves"]}
            colors = dict(zip(cases, COLORS, strict=False))
            simulated = kind["curves"]
            for i, case in enumerate(
                zip(simulated["shared"], simulated["objective"], strict=True)
            ):
                axis.plot(
                    simulated["times"], simulated["own"][i], color=colors[case], lw=0.8
                )
            for (shared, objective), curve in cases.items():
                label = _case_label(shared, objective, data)
                axis.plot([], [], color=colors[shared, objective], label=label)
                axis.plot(curve["times"], curve["own"], color="black", ls="--", lw=1.0)
            axis.set_title(name)
            axis.set_xlim(0, simulated["times"][-1])
            axis.set_xlabel("flow time")
            axis.set_ylabel("risk on the first subspace")
            axis.plot([], [], color="black", ls="--", lw=1.0, label="exact flow")
        legend_below(figure, axes)
        return figure


def _case_label(shared: int, objective: str, data: Mapping[str, Any]) -> str:
    if shared == data["rank"]:
        return "one subspace"
    return f"{data['components']} subspaces, {shared} shared columns, {objective}"


def ratio_forest(rows: list[dict[str, Any]]) -> Any:
    """Ratios of times with their intervals, one line a reading."""
    rows = [row for row in rows if row["ratio"] and row["watched"] == "own"]
    with style():
        figure, (axis,) = grid(1, width=5.6, height=0.17 * len(rows) + 1.2)
        colors = {"flow": COLORS[6], "gd": COLORS[0], "adam": COLORS[1]}
        names = {"flow": "flow", "gd": "GD", "adam": "Adam"}
        for i, row in enumerate(rows):
            value, low, high = row["ratio"]
            axis.plot([low, high], [i, i], color=colors[row["optimizer"]])
            axis.plot(value, i, "o", color=colors[row["optimizer"]])
        labels = [
            f"{r['parametrization']}, {r['objective']}, {names[r['optimizer']]}"
            for r in rows
        ]
        axis.set_yticks(range(len(rows)), labels, fontsize=7)
        axis.axvline(1.0, color="0.4", ls=":")
        axis.set_xscale("log")
        plain_ticks(axis.xaxis, 0.5, 1.0, 2.0, 4.0)
        axis.invert_yaxis()
        axis.set_xlabel("time with all components / time with one (own loss)")
        return figure


def _union_label(name: str) -> str:
    return "one subspace" if name == "1" else f"{name} subspaces"


def _angle_panel(axis: Any, data: Mapping[str, Any], scale: float = 1.0) -> None:
    """Mean risk by angle with the spread over seeds, one line a union."""
    for color, marker, (name, union) in zip(
        COLORS, MARKERS, data["unions"].items(), strict=False
    ):
        risks = np.array(union["angle_risks"]) / scale
        low, high = risks.min(axis=0), risks.max(axis=0)
        mean = risks.mean(axis=0)
        axis.errorbar(
            data["angles"],
            mean,
            yerr=[mean - low, high - mean],
            color=color,
            marker=marker,
            capsize=2,
            label=_union_label(name),
        )
    axis.axhline(
        data["zero_risk"] / scale, color="0.5", lw=0.8, ls=":", label="predicting 0"
    )
    axis.set_xlabel("angle of the test subspace (degrees)")


def decoder_angles(data: Mapping[str, Any]) -> Any:
    """Risk of decoders against the angle; bars span the seeds."""
    with style():
        figure, (axis,) = grid(1, width=4.6, height=3.0)
        _angle_panel(axis, data)
        axis.set_ylabel("risk (noiseless target)")
        legend_below(figure, [axis])
        return figure


def class_angles(classes: Mapping[str, Any], labels: Mapping[str, str]) -> Any:
    """The same for several function classes, relative to predicting 0."""
    with style():
        figure, axes = grid(len(classes), width=2.8, height=2.6)
        for axis, (name, data) in zip(axes, classes.items(), strict=True):
            _angle_panel(axis, data, data["zero_risk"])
            axis.set_title(labels[name])
        axes[0].set_ylabel("risk / risk of predicting 0")
        legend_below(figure, axes)
        return figure


def decoder_curves(data: Mapping[str, Any]) -> Any:
    """Training loss of decoders, one line a seed."""
    with style():
        figure, (axis,) = grid(1, width=4.6, height=3.0)
        for color, (name, union) in zip(COLORS, data["unions"].items(), strict=False):
            for i, curve in enumerate(union["curves"]["loss"]):
                label = _union_label(name) if i == 0 else None
                axis.plot(union["steps"], curve, color=color, lw=0.8, label=label)
        axis.set_xlabel("training step")
        axis.set_ylabel("training loss")
        legend_below(figure, [axis])
        return figure


def decoder_distances(data: Mapping[str, Any]) -> Any:
    """Distance to the Bayes predictor and to ridge along training."""
    with style():
        figure, axes = grid(len(data["unions"]), width=2.6, height=2.5)
        for axis, (name, union) in zip(axes, data["unions"].items(), strict=True):
            for color, key, label in (
                (COLORS[0], "distance 0", "to Bayes of the union"),
                (COLORS[1], "distance 1", "to ridge"),
            ):
                curves = np.array(union["curves"][key])
                axis.plot(union["steps"], curves.mean(axis=0), color=color, label=label)
                axis.fill_between(
                    union["steps"],
                    curves.min(axis=0),
                    curves.max(axis=0),
                    color=color,
                    alpha=0.2,
                    lw=0,
                )
            axis.set_yscale("log")
            round_ticks(axis.yaxis)
            axis.set_title(_union_label(name))
            axis.set_xlabel("training step")
        axes[0].set_ylabel("mean squared distance")
        legend_below(figure, axes)
        return figure
