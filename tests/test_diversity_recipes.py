"""The diversity recipes run whole at toy size and say what they found."""

import json

import numpy as np
import pytest

from iclax.experiments import load_recipe, recipe_names
from iclax.experiments._recipe import run_recipe
from iclax.report import overall

RECIPES = ["kwon2026", "kim2024", "raventos2023"]


@pytest.mark.ci
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_runs_whole_at_toy_size(name, tmp_path):
    assert name in recipe_names()
    recipe = load_recipe(name)
    outcome = run_recipe(recipe, size="toy", seed=0, folder=tmp_path)
    assert not [v for v in outcome.verdicts if v.passed is False]
    for section in outcome.sections:
        assert section.paragraphs and section.verdicts
        for figure in section.figures:
            assert (tmp_path / "figures" / f"{figure.name}.png").stat().st_size > 3000
    text = (tmp_path / "table.md").read_text()
    assert "nan" not in text
    for part in recipe.parts("toy", 0):  # what a second call finds and reuses
        saved = json.loads((tmp_path / f"{part.name}.json").read_text())
        assert saved["fingerprint"] == part.fingerprint


def test_the_noisy_risks_of_one_subspace_and_a_union():
    """d = 20, r = 3, n = 40, σ² = 0.1: the values worked out by hand in the issue."""
    from iclax import theory
    from iclax.experiments.kwon2026._subspaces import PLANS, prompts_of

    plan = PLANS["laptop"]
    expected = {0: 0.3789, 30: 1.1070, 45: 1.8351, 60: 2.5632, 90: 3.2913}
    one = theory.angle_risks(prompts_of(plan, 1), np.array([*expected], float))
    np.testing.assert_allclose(one + 0.1, [*expected.values()], atol=6e-5)
    two = theory.angle_risks(prompts_of(plan, 2), np.array([*expected], float))
    np.testing.assert_allclose(two + 0.1, 0.5576, atol=6e-5)


def test_exact_plateau_times():
    """Half-drop times for d = 24, r = 4, n = 64, integrated by another solver."""
    from iclax.experiments.kwon2026._directions import exact_table

    known = {
        (1, 4): (4.7147, 4.7147),
        (2, 4): (4.7147, 2.3574),
        (2, 2): (5.4694, 2.7347),
        (2, 0): (6.6900, 3.3450),
        (4, 4): (4.7147, 1.1787),
        (4, 2): (6.0283, 1.5071),
        (4, 0): (9.4413, 2.3603),
        (6, 4): (4.7147, 0.7858),
        (6, 2): (6.2536, 1.0423),
        (6, 0): (11.5117, 1.9186),
    }
    found = {
        (row["components"], row["shared"]): (row["mean"], row["sum"])
        for row in exact_table(24, 4, 64)
    }
    assert found.keys() == known.keys()
    for case, times in known.items():
        np.testing.assert_allclose(found[case], times, atol=5.1e-5, rtol=0)


def linear_layers(above):
    """What part a saves, with trained layers `above` their exact risk of 1."""
    estimate = {"mean": 1.0, "standard_error": 0.1}
    point = {"exact": 1.0, "optimum": estimate}
    case = {
        "optimal_risk": 1.0,
        "trained_risks": [1.0 + above],
        "off_span": 2.0,
        "zero_risk": 2.0,
        **dict.fromkeys(("angle", "length", "random"), [point]),
    }
    flat, rising = {"fine_risks": [1.0, 1.0]}, {"fine_risks": [0.5, 1.0]}
    return {"cases": {"1": case | rising, "2": case | flat}}


def test_linear_layers_are_judged_at_all_sizes_but_toy():
    from iclax.experiments.kwon2026._subspaces import _verdicts

    for size, above, passes in [
        ("toy", 0.48, None),
        ("toy", np.nan, False),
        ("laptop", 0.48, False),
        ("laptop", 0.011, False),
        ("laptop", 0.009, True),
        ("paper", 0.011, False),
    ]:
        found = _verdicts(linear_layers(above), size)
        claim = "Trained layers reach the exact risk"
        assert overall(found) is passes, (size, above)
        assert [v.passed for v in found if v.name == claim] == [passes]
    toy = _verdicts(linear_layers(0.48), "toy")
    assert any("too short a training to tell" in v.text for v in toy)


def trained_decoder(*escape):
    return {
        "escape": [None if t is None else float(t) for t in escape],
        "half_drop": [50.0] * len(escape),
        "change_point": [50.0] * len(escape),
        "last_step": 200,
        "angle_risks": [[0.1, 0.5 + 0.01 * i] for i in range(len(escape))],
    }


@pytest.mark.parametrize(
    ("union", "one", "text", "direction"),
    [
        ((200, 200), (100, 100), "2.00 [2.00, 2.00]", "longer"),
        ((50, 50), (100, 100), "0.50 [0.50, 0.50]", "shorter"),
        ((50, 150), (100, 100), "0.87 [0.50, 1.50]", "not decided"),
        ((None, None), (100, 100), "≥ 2.00 [2.00, 2.00]", "longer"),
        ((None, 20), (100, 100), "≥ 0.63 [0.20, 2.00]", "not decided"),
        ((None, 40, 40, 40), (180,) * 4, "≥ 0.33 [0.22, 0.74]", "not decided"),
        ((100, 100), (None, None), "≤ 0.50 [0.50, 0.50]", "shorter"),
        ((199, 199), (10, None), "≤ 4.45 [1.00, 19.90]", "not decided"),
        ((190,) * 4, (40, 40, 40, None), "≤ 3.18 [1.42, 4.75]", "not decided"),
        ((None, 100), (100, None), "–", "not decided"),
        ((150,), (100,), "1.50 (1 run, no interval)", "not decided"),
        ((None,), (100,), "≥ 2.00 (1 run, no interval)", "not decided"),
    ],
)
def test_a_ratio_of_censored_times_is_a_bound_or_nothing(union, one, text, direction):
    from iclax.experiments.kwon2026._escape_ratio import EscapeRatio
    from iclax.experiments.kwon2026._transformer import plateau_table, union_verdicts

    data = {
        "unions": {"1": trained_decoder(*one), "4": trained_decoder(*union)},
        "angles": [0.0, 90.0],
        "zero_risk": 1.0,
    }
    assert plateau_table(data).rows[1]["escape / one subspace"] == text
    ratio = EscapeRatio.of(data["unions"]["4"], data["unions"]["1"])
    assert ratio.direction == direction
    verdict = union_verdicts(data, "decoder", "laptop")[-1]
    assert verdict.passed is (None if direction == "not decided" else True)
    assert verdict.text.endswith(f": {direction}.")


def test_a_drop_without_a_plateau_is_no_late_change_point():
    from iclax.experiments.kwon2026._transformer import plateau_table

    one, many = trained_decoder(90, 90, 90), trained_decoder(100, 100, None)
    one["change_point"] = [None, 30.0, 30.0]
    many["half_drop"], many["change_point"] = [50.0, 50.0, None], [None] * 3
    unions = {"1": one, "4": many, "6": many | {"half_drop": [50.0] * 3}}
    rows = plateau_table({"unions": unions}).rows
    assert [row["change point"] for row in rows] == [
        "30 [30, 30]",
        "≥ 200 (1 run, no interval)",
        "–",
    ]
    assert rows[1]["half drop"].startswith("≥ 100 [") and "inf]" in rows[1]["half drop"]


def test_one_seed_has_no_interval_and_shows_nothing():
    from iclax.experiments.kwon2026._transformer import angle_table, union_verdicts

    def data(seeds):
        one, many = (trained_decoder(*[t] * seeds) for t in (100.0, 150.0))
        many["angle_risks"] = [[0.1, 0.11]] * seeds
        return {"unions": {"1": one, "4": many}, "angles": [0, 90], "zero_risk": 1}

    table = angle_table(data(1))
    assert table.rows[0]["0°"] == "0.100 (1 run, no interval)"
    assert "1 seed" in table.caption and "95 %" not in table.caption
    decided = union_verdicts(data(1), "decoder", "laptop")
    assert [v.passed for v in decided] == [None, None, None]
    assert angle_table(data(3)).rows[0]["0°"] == "0.100 [0.100, 0.100]"
    assert all(v.passed for v in union_verdicts(data(3), "decoder", "laptop"))
