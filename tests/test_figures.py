"""Figures keep their legends inside and tell their series apart."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from iclax import figures
from iclax.figures._style import round_ticks


def extent_of_legend(figure):
    """The legend's and the figure's extents in pixels, as drawn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (legend,) = figure.legends
    return legend.get_window_extent(canvas.get_renderer()), figure.bbox


def assert_legend_inside(figure):
    legend, page = extent_of_legend(figure)
    assert page.x0 <= legend.x0 and legend.x1 <= page.x1
    assert page.y0 <= legend.y0 and legend.y1 <= page.y1


def assert_legend_apart(figure):
    """Below the panels with their labels."""
    legend, _ = extent_of_legend(figure)
    renderer = figure.canvas.get_renderer()
    panels = [axis for axis in figure.axes if axis.get_visible()]
    assert legend.y1 <= min(a.get_tightbbox(renderer).y0 for a in panels) + 1


def layer_case():
    claim = {"layer_risk": 0.2, "gd_risk": 0.3, "zero_risk": 1.0}
    row = {"claimed": 0.5, "optimum": 0.4, "simulated": 0.45, "standard_error": 0.01}
    return {
        "label": "setting",
        "claim": claim,
        "training": {"steps": [1, 10], "risk": [[0.9, 0.3]]},
        "context": {
            "trained_at": 10,
            "rows": [{"length": n, **row} for n in (5, 10, 20)],
            "lines": {
                "length": list(range(5, 21)),
                "claimed": [0.5] * 16,
                "optimum": [0.4] * 16,
                "exact": [None] * 16,
            },
        },
    }


def subspaces():
    estimate = {"mean": 0.5, "standard_error": 0.05}
    points = [
        {"at": a, "exact": 0.5, "trained": [0.6], "optimum": estimate}
        for a in (5.0, 10.0)
    ]
    case = {
        "fine_angles": [0, 90],
        "fine_risks": [0.3, 0.9],
        "angle": points,
        "length": points,
        "retrained": [0.5, 0.4],
    }
    return {"cases": {"1": case, "2": case, "4": case}}


def union(count=2):
    curve = [[1.0, 0.5]] * count
    return {
        "angle_risks": [[0.4, 0.6]] * count,
        "steps": [1, 2],
        "curves": {"loss": curve, "distance 0": curve, "distance 1": curve},
    }


def unions():
    found = {name: union() for name in ("1", "4", "32")}
    return {"unions": found, "angles": [0.0, 90.0], "zero_risk": 1.0}


def flows(names):
    cases = ((2, "mean"), (0, "mean"), (0, "sum"))
    curves = [
        {"shared": s, "objective": o, "times": [0, 1], "own": [1.0, 0.2]}
        for s, o in cases
    ]
    simulated = {
        "shared": [s for s, _ in cases],
        "objective": [o for _, o in cases],
        "times": [0, 1],
        "own": [[1.0, 0.2]] * 3,
    }
    kind = {"flow_curves": curves, "curves": simulated}
    return {"kinds": dict.fromkeys(names, kind), "rank": 2, "components": 4}


def pools():
    risks = {"transformer": 0.5, "dmmse": 0.4, "ridge": 0.6}
    both = {"pretraining": risks, "new": risks}
    path = {name: [0.5, 0.7, 0.5] for name in risks}
    return {e: [{"risks": both, "distances": both, "path": path}] for e in (1, 5)}


NAMES = {"transformer": "transformer", "dmmse": "dMMSE", "ridge": "ridge"}
ADAPTERS = {
    "rank": 1,
    "cases": [
        {
            "angle": angle,
            "ranks": [0, 1, 2],
            "exact": [1.0, 0.5, 0.4],
            "trained": [[1.0], [0.5], [0.4]],
            "optimal_risk": 0.4,
        }
        for angle in (30.0, 60.0, 90.0)
    ],
}
FAMILIES = {"parity": {k: {"curves": [[1.0, 0.4]]} for k in (1, 9)}}
DRAWN = {
    "one setting, loss": lambda: figures.loss_curves({"a": layer_case()}),
    "one setting, lengths": lambda: figures.context_curves({"a": layer_case()}),
    "two settings": lambda: figures.context_curves(
        {"a": layer_case(), "b": layer_case()}
    ),
    "five settings": lambda: figures.loss_curves(
        {name: layer_case() for name in "abcde"}
    ),
    "angle": lambda: figures.angle_curves(subspaces()),
    "length": lambda: figures.length_curves(subspaces()),
    "one flow": lambda: figures.flow_curves(flows(["merged"])),
    "flows": lambda: figures.flow_curves(flows(["merged", "linear"])),
    "adapters": lambda: figures.adapter_curves(ADAPTERS),
    "decoder angles": lambda: figures.decoder_angles(unions()),
    "decoder loss": lambda: figures.decoder_curves(unions()),
    "decoder distances": lambda: figures.decoder_distances(unions()),
    "one class": lambda: figures.class_angles({"relu": unions()}, {"relu": "ReLU"}),
    "pools": lambda: figures.pool_risks(pools(), None, NAMES),
    "pool distances": lambda: figures.pool_distances(pools(), None, NAMES),
    "paths": lambda: figures.path_curves(pools(), NAMES),
    "one family": lambda: figures.family_losses(FAMILIES, {"parity": "parity"}, [1, 2]),
}


@pytest.mark.parametrize("name", DRAWN)
def test_the_legend_fits_below_the_panels(name):
    figure = DRAWN[name]()
    assert_legend_inside(figure)
    assert_legend_apart(figure)


def test_a_legend_too_long_for_its_figure_is_broken_into_lines():
    from iclax.figures._legend import legend_below

    with figures.style():
        figure, axes = figures.grid(1)
        axes[0].plot([0, 1], label="word " * 40)
        legend_below(figure, axes)
    assert_legend_inside(figure)


def test_the_panels_keep_their_height_however_many_lines_the_legend_has():
    from iclax.figures._legend import legend_below

    def height(count):
        with figures.style():
            figure, axes = figures.grid(1)
            for i in range(count):
                axes[0].plot([0, 1], label=f"a label of some length, number {i}")
            legend_below(figure, axes)
        extent_of_legend(figure)
        return axes[0].get_window_extent().height

    np.testing.assert_allclose(height(6), height(1), rtol=0.03)


@pytest.mark.parametrize("draw", [figures.angle_curves, figures.length_curves])
def test_trained_crosses_have_the_color_of_their_theory_line(draw):
    lines = draw(subspaces()).axes[0].get_lines()
    crosses = [li for li in lines if li.get_marker() == "x" and len(li.get_xdata())]
    theory = [
        li
        for li in lines
        if li.get_label() in ("one subspace", "union of 2", "union of 4")
    ]
    assert len(crosses) == len(theory) == 3
    for cross, line in zip(crosses, theory, strict=True):
        assert to_hex(cross.get_color()) == to_hex(line.get_color())
    assert len({to_hex(line.get_color()) for line in theory}) == 3


def test_the_training_length_is_named_and_among_the_lengths_of_every_size():
    from iclax.experiments.mahankali2023 import _LENGTHS, CASES

    figure = figures.context_curves({"a": layer_case()})
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "training length" in texts
    for lengths in _LENGTHS.values():
        assert len(lengths) >= 3
        for name in ("theorem1", "theorem2", "two_layer", "plain_relu"):
            assert CASES[name][4] in lengths


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0.55, 0.78, ["0.6", "0.65", "0.7", "0.75"]),
        (0.9, 4.0, ["1", "1.5", "2", "3"]),
        (0.08, 4.0, ["0.1", "0.2", "0.5", "1", "2"]),
    ],
)
def test_a_short_logarithmic_axis_has_at_least_three_numbers(low, high, texts):
    with figures.style():
        _, (axis,) = figures.grid(1)
    axis.set_yscale("log")
    axis.set_ylim(low, high)
    round_ticks(axis.yaxis)
    assert [label.get_text() for label in axis.get_yticklabels()] == texts
