"""Figures of trained layers against theory, from the saved data of comparisons."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._legend import legend_below
from ._style import COLORS, grid, plain_ticks, round_ticks, style


def preconditioners(cases: Mapping[str, dict[str, Any]]) -> Any:
    """Predicted Γ* beside the learned Γ (mean over seeds), case by case."""
    with style():
        figure, axes = grid(2 * len(cases), width=1.75, height=1.85, columns=6)
        for i, case in enumerate(cases.values()):
            predicted = np.array(case["claim"]["gamma"])
            learned = np.mean([layer["gamma"] for layer in case["layers"]], axis=0)
            limit = np.abs(predicted).max()
            pairs = (
                (axes[2 * i], predicted, "theory"),
                (axes[2 * i + 1], learned, "learned"),
            )
            for axis, matrix, label in pairs:
                image = axis.imshow(matrix, cmap="PuOr", vmin=-limit, vmax=limit)
                axis.set_title(f"{case['label']}\n{label} Γ", fontsize=7)
                axis.set_xticks([])
                axis.set_yticks([])
                axis.grid(False)
            figure.colorbar(image, ax=axes[2 * i + 1], fraction=0.046)
        return figure


def entries(cases: Mapping[str, dict[str, Any]]) -> Any:
    """Every learned entry of Γ against the predicted one; error bars over seeds."""
    with style():
        figure, axes = grid(len(cases), columns=5)
        for axis, case in zip(axes, cases.values(), strict=True):
            predicted = np.array(case["claim"]["gamma"]).ravel()
            learned = np.array([np.ravel(layer["gamma"]) for layer in case["layers"]])
            low, high = predicted.min(), predicted.max()
            pad = 0.1 * (high - low)
            axis.plot([low - pad, high + pad], [low - pad, high + pad], color="0.4")
            spread = learned.std(axis=0, ddof=1) if len(learned) > 1 else None
            axis.errorbar(
                predicted, learned.mean(axis=0), yerr=spread, fmt="o", color=COLORS[1]
            )
            axis.set_title(case["label"])
            axis.set_xlabel("predicted Γ*$_{ij}$")
            axis.set_ylabel("learned Γ$_{ij}$")
        return figure


def loss_curves(cases: Mapping[str, dict[str, Any]]) -> Any:
    """Exact risk along training, one line a seed, against the exact optimum."""
    with style():
        figure, axes = grid(len(cases), columns=5)
        for axis, case in zip(axes, cases.values(), strict=True):
            claim, curves = case["claim"], case["training"]
            for j, risks in enumerate(curves["risk"]):
                label = "trained (one line a seed)" if j == 0 else None
                axis.plot(
                    curves["steps"], risks, color=COLORS[0], alpha=0.7, label=label
                )
            axis.axhline(
                claim["layer_risk"], color=COLORS[1], ls="--", label="exact optimum"
            )
            if claim["gd_risk"] > 1.001 * claim["layer_risk"]:
                axis.axhline(
                    claim["gd_risk"],
                    color=COLORS[2],
                    ls=":",
                    label="best plain GD step",
                )
            axis.axhline(claim["zero_risk"], color="0.5", lw=0.8, label="predicting 0")
            axis.set_xscale("log")
            axis.set_yscale("log")
            top = 1.6 * claim["zero_risk"]
            axis.set_ylim(max(0.8 * claim["layer_risk"], 1e-6 * top), top)
            round_ticks(axis.yaxis)
            axis.set_title(case["label"])
            axis.set_xlabel("training step")
            axis.set_ylabel("risk (noiseless target)")
        legend_below(figure, axes)
        return figure


def context_curves(cases: Mapping[str, dict[str, Any]]) -> Any:
    """Risk against the context length at test time: theory lines, simulated points."""
    cases = {name: case for name, case in cases.items() if case["context"]["rows"]}
    with style():
        figure, axes = grid(len(cases), columns=5)
        for axis, case in zip(axes, cases.values(), strict=True):
            rows, lines = case["context"]["rows"], case["context"]["lines"]
            lengths = [row["length"] for row in rows]
            for name, color, dashes, label in (
                (
                    "claimed",
                    COLORS[0],
                    "-",
                    "exact: the optimum of the training length",
                ),
                ("exact", COLORS[1], "-.", "exact: the trained layer"),
                ("optimum", COLORS[2], "--", "exact: best GD form at each length"),
            ):
                if None not in lines[name]:
                    axis.plot(
                        lines["length"], lines[name], dashes, color=color, label=label
                    )
            axis.errorbar(
                lengths,
                [row["simulated"] for row in rows],
                yerr=[row["standard_error"] for row in rows],
                fmt="o",
                color=COLORS[1],
                label="trained layer, simulated (± s.e.)",
            )
            axis.axvline(
                case["context"]["trained_at"],
                color="0.6",
                lw=0.8,
                label="training length",
            )
            axis.set_xscale("log")
            plain_ticks(axis.xaxis, *lengths)
            axis.set_title(case["label"])
            axis.set_xlabel("context length n at test time")
            axis.set_ylabel("risk (noiseless target)")
        legend_below(figure, axes)
        return figure
