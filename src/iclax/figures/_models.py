"""Figures of any trained model beside references, from the saved data of its run."""

from typing import Any

from ._legend import legend_below
from ._style import COLORS, MARKERS, grid, plain_ticks, round_ticks, style

# Levels of the claim, from the worst predictor down: key, legend, color, dashes.
_LEVELS = (
    ("no_context_risk", "exact: best function of the query alone", "0.5", "-"),
    ("gd_risk", "exact: best plain GD step", COLORS[4], ":"),
    ("layer_risk", "exact: best layer of linear attention", COLORS[1], "--"),
)


def learning_curves(case: dict[str, Any]) -> Any:
    """Risk along training, one line a seed, above the levels that theory knows."""
    claim, training = case["claim"], case["training"]
    with style():
        figure, (axis,) = grid(1, width=3.4, height=2.5)
        for j, risks in enumerate(training["risk"]):
            axis.plot(
                training["steps"],
                risks,
                color=COLORS[0],
                alpha=0.7,
                label=f"trained, on {training['watched_prompts']} fixed prompts"
                if j == 0
                else None,
            )
        levels = [
            (claim[key], label, color, dashes)
            for key, label, color, dashes in _LEVELS
            if claim[key] is not None
        ]
        if len(levels) > 2 and levels[1][0] <= 1.001 * levels[2][0]:
            del levels[1]  # the best layer is the plain step
        name, best = next(iter(case["references"].items()))
        told = f"{'exact' if best['exact'] else 'simulated'}: {_NAMES[name]}"
        levels.append((best["mean"], told, COLORS[2], "-."))
        for value, label, color, dashes in levels:
            axis.axhline(value, color=color, ls=dashes, lw=1.1, label=label)
        axis.set_xscale("log")
        axis.set_yscale("log")
        round_ticks(axis.yaxis)
        round_ticks(axis.xaxis)
        axis.set_xlabel("training step")
        axis.set_ylabel("risk (noiseless target)")
        legend_below(figure, [axis])
        return figure


_NAMES = {"bayes": "Bayes predictor", "ridge": "tuned ridge regression"}


def model_lengths(case: dict[str, Any]) -> Any:
    """Risk at other context lengths at test time, of the first seed and a reference."""
    found = case["context"]
    rows = found["rows"]
    lengths = [row["length"] for row in rows]
    with style():
        figure, (axis,) = grid(1, width=3.4, height=2.5)
        lines, name = found["lines"], _NAMES[found["reference"]]
        if lines["optimum"] is not None:
            label = "exact: best GD form at each length"
            axis.plot(
                lines["length"], lines["optimum"], "--", color=COLORS[1], label=label
            )
        best = lines["reference"]
        if best is not None:
            label = f"exact: {name}"
            axis.plot(best["length"], best["risk"], "-.", color=COLORS[2], label=label)
        points = [("simulated", "standard_error", MARKERS[0], COLORS[0], "trained")]
        if best is None:
            points.append(("reference", "reference_se", MARKERS[1], COLORS[2], name))
        for key, error, marker, color, label in points:
            axis.errorbar(
                lengths,
                [row[key] for row in rows],
                yerr=[row[error] for row in rows],
                fmt=marker,
                color=color,
                label=f"{label}, simulated (± s.e.)",
            )
        axis.axvline(
            found["trained_at"], color="0.6", lw=0.8, label="training length", zorder=0
        )
        axis.set_xscale("log")
        axis.set_yscale("log")
        plain_ticks(axis.xaxis, *lengths)
        round_ticks(axis.yaxis)
        axis.set_xlabel("context length n at test time")
        axis.set_ylabel("risk (noiseless target)")
        legend_below(figure, [axis])
        return figure
