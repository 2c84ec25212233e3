"""The computed table of plateau directions."""

import numpy as np
import pytest
from helpers import mostly_in_ci

from iclax.theory import (
    PlateauStudy,
    flow,
    optimal_risk,
    plateau_directions,
    preconditioner_risk,
    prompt_moments,
    zero_risk,
)

# Six subspaces of dimension 4 in R^24, n = 64, w₀ = 1e-4: the half-drop table.
PUBLISHED = PlateauStudy(24, 4, 6, 64, init=1e-4)
SMALL = PlateauStudy(
    dim=6, rank=1, components=3, context_length=10, init=0.05, steps=4000
)


def test_merged_flow_gives_the_half_drop_times_of_orthogonal_and_shared_columns():
    rows = plateau_directions(
        PUBLISHED, parametrizations=["merged"], optimizers=["flow"]
    )
    found = {
        (r.axis, r.normalization, r.objective): r.times
        for r in rows
        if r.watched == "training"
    }
    expect = {
        ("columns", "component", "mean"): (4.7147, 6.2536, 11.5117),
        ("columns", "component", "sum"): (0.7858, 1.0423, 1.9186),
        ("components", "component", "mean"): (4.7147, 6.6900, 9.4413, 11.5117),
        ("components", "component", "sum"): (4.7147, 3.3450, 2.3603, 1.9186),
    }
    for key, times in expect.items():
        np.testing.assert_allclose(found[key], times, atol=6e-5)


def test_energy_per_covered_column_turns_the_direction_round():
    rows = plateau_directions(
        PUBLISHED,
        parametrizations=["merged"],
        optimizers=["flow"],
        objectives=["mean"],
        axes=["components"],
    )
    by = {r.normalization: r for r in rows if r.watched == "training"}
    assert by["column"].direction == "shorter"
    assert by["component"].direction == by["trace"].direction == "longer"
    # ∝ 1/‖W‖_F up to the logarithm: √6 and 1/√6.
    assert by["component"].ratio == pytest.approx(6**0.5, rel=0.02)
    assert by["column"].ratio == pytest.approx(6**-0.5, rel=0.05)
    # No label noise: the scale of W is a unit of time.
    assert by["trace"].ratio == pytest.approx(by["component"].ratio, rel=1e-6)


@pytest.mark.parametrize(
    "name", mostly_in_ci(["linear", "merged", "separate full rank"], keep=["merged"])
)
def test_slow_gradient_descent_goes_the_way_of_the_flow(name):
    options = {"parametrizations": [name], "normalizations": ["component"]}
    exact = plateau_directions(SMALL, optimizers=["flow"], **options)
    steps = plateau_directions(SMALL, optimizers=["gd"], **options)
    for one, two in zip(exact, steps, strict=True):
        assert (one.axis, one.watched) == (two.axis, two.watched)
        times = 2 * SMALL.gd_rate * np.array(two.times)
        np.testing.assert_allclose(times, one.times, rtol=0.06, atol=2 * SMALL.gd_rate)
        if not np.isnan(one.ratio) and abs(one.ratio - 1) > 0.05:
            assert one.direction == two.direction


def test_adam_does_not_see_the_scale_of_the_objective():
    rows = plateau_directions(
        SMALL, parametrizations=["merged"], optimizers=["adam"], axes=["components"]
    )
    by = {(r.normalization, r.objective): r for r in rows if r.watched == "training"}
    for other in (("component", "sum"), ("trace", "mean"), ("column", "sum")):
        expected = by["component", "mean"].times
        np.testing.assert_allclose(by[other].times, expected, rtol=1e-3)


def test_watched_times_are_where_the_risk_on_that_law_is_half_way():
    rows = plateau_directions(
        SMALL,
        parametrizations=["merged"],
        optimizers=["flow"],
        objectives=["mean"],
        normalizations=["component"],
        axes=["components"],
    )
    assert [r.watched for r in rows] == [
        "training",
        "first",
        "all",
        "others",
        "outside",
    ]
    for row in rows[1:]:
        law = SMALL.watched_laws[row.watched]
        level = (zero_risk(law) + optimal_risk(law)) / 2
        for (count, shared), time in zip(
            SMALL.levels("components"), row.times, strict=True
        ):
            own = SMALL.law(SMALL.second_moment(count, shared, "component"))
            if np.isnan(time):
                end = flow(prompt_moments(own), init=SMALL.init).gamma
                assert preconditioner_risk(end, law) > level
            else:
                at = flow(own, init=SMALL.init, times=[time]).gamma
                assert preconditioner_risk(at, law) == pytest.approx(level, rel=0.02)
    by = {row.watched: row.direction for row in rows}
    assert by["outside"] == "never" and by["others"] == "learned"
