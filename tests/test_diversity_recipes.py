"""The diversity recipes run whole at toy size and say what they found."""

import json

import numpy as np
import pytest

from iclax.experiments import load_recipe, recipe_names
from iclax.experiments._recipe import run_recipe

RECIPES = ["kwon2026", "kim2024", "raventos2023"]


@pytest.mark.ci
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_runs_whole_at_toy_size(name, tmp_path):
    assert name in recipe_names()
    recipe = load_recipe(name)
    outcome = run_recipe(recipe, size="toy", seed=0, folder=tmp_path)
    failed = [v for s in outcome.sections for v in s.verdicts if not v.passed]
    assert not failed
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
