"""Figures on task diversity: angles, plateaus and adapters, from saved data."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._style import COLORS, MARKERS, grid, style


def angle_curves(data: Mapping[str, Any]) -> Any:
    """Risk against the angle: exact lines, simulated dots, trained crosses."""
    with style():
        figure, (axis,) = grid(1, width=4.6, height=3.0)
        for color, (name, case) in zip(COLORS, data["cases"].items(), strict=False):
            label = "one subspace" if name == "1" else f"union of {name}"
            axis.plot(case["fine_angles"], case["fine_risks"], color=color, label=label)
            angles = [point["at"] for point in case["angle"]]
            axis.errorbar(
                angles,
                [point["optimum"]["mean"] for point in case["angle"]],
                yerr=[point["optimum"]["standard_error"] for point in case["angle"]],
                fmt="o",
                color=color,
            )
            trained = [np.mean(point["trained"]) for point in case["angle"]]
            axis.plot(angles, trained, "x", color="black", zorder=3)
        axis.plot([], [], "ko", label="simulated optimum (± s.e.)")
        axis.plot([], [], "kx", label="trained layers")
        axis.set_xlabel("angle of the test subspace (degrees)")
        axis.set_ylabel("risk (noiseless target)")
        axis.legend()
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
            axis.errorbar(
                lengths,
                [point["optimum"]["mean"] for point in case["length"]],
                yerr=[point["optimum"]["standard_error"] for point in case["length"]],
                fmt="o",
                color=color,
            )
            trained = [np.mean(point["trained"]) for point in case["length"]]
            axis.plot(lengths, trained, "x", color="black", zorder=3)
        axis.plot([], [], "k--", lw=0.9, label="optimum for each length")
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xticks(lengths, [f"{length:g}" for length in lengths])
        axis.minorticks_off()
        axis.set_xlabel("prompt length at test time")
        axis.set_ylabel("risk (noiseless target)")
        axis.legend()
        return figure


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
            axis.axhline(case["optimal_risk"], color="0.6", lw=0.8)
        axis.axvline(2 * data["rank"], color="0.4", ls=":", label="rank 2r")
        axis.set_xlabel("adapter rank q")
        axis.set_ylabel("risk on the new subspace")
        axis.legend()
        return figure
