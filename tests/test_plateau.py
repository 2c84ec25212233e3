"""Plateau times against curves whose times are known, and against other definitions."""

from itertools import combinations

import numpy as np
import pytest

from iclax._errors import SettingError
from iclax.evaluation import (
    NormalizerWarning,
    bootstrap,
    bootstrap_ratio,
    change_point,
    first_below,
    half_drop,
    plateau_times,
    segments,
)

STEPS = np.arange(1000)


def logistic(center, width=30.0, low=0.0, steps=STEPS):
    return low + (1 - low) / (1 + np.exp((steps - center) / width))


def test_escape_is_that_of_the_authors_definition():
    """Their rule, written out: a window of 100 that starts filled with infinity."""
    curves = np.stack([logistic(c) for c in (200, 500, 700)] + [np.ones(1000)])
    expected = []
    for curve in curves:
        queue, found = [np.inf] * 100, np.nan
        for step, value in enumerate(curve):
            queue = queue[1:] + [value]
            if np.isnan(found) and np.mean(queue) < 0.8:
                found = step
        expected.append(found)
    np.testing.assert_array_equal(first_below(STEPS, curves, 0.8), expected)
    assert first_below(STEPS, np.zeros((1, 1000)), 0.8)[0] == 99


def test_times_of_a_sharp_step():
    """A loss that falls from 1 to 0.05 at step 400: every time by hand."""
    curve = np.where(STEPS < 400, 1.0, 0.05)
    times = plateau_times(STEPS, curve[None])
    # k records of 0.05 among 100 bring the mean below 0.8 at k = 22, 0.1 at k = 95.
    assert times.escape[0] == 400 + 21 and times.completion[0] == 400 + 94
    # 1000 records are averaged in threes: two groups is the resolution.
    assert times.change_point[0] == pytest.approx(399, abs=6)
    assert half_drop(STEPS, curve) == pytest.approx(399.5)
    assert times.half_drop[0] == pytest.approx(400 + 49, abs=1.1)


def test_completion_can_come_from_accuracy_or_the_last_point():
    losses, final = np.ones((1, 1000)), logistic(300)[None]
    accuracy = 0.5 + 0.5 * (1 - logistic(600))[None]
    assert np.isnan(plateau_times(STEPS, losses).completion[0])
    by_loss = plateau_times(STEPS, losses, final=final).completion[0]
    by_accuracy = plateau_times(STEPS, losses, accuracy=accuracy).completion[0]
    assert 350 < by_loss < 550 and 650 < by_accuracy < 850
    scaled = plateau_times(STEPS, 7 * logistic(300)[None], normalizer=7.0)
    assert scaled.escape[0] == plateau_times(STEPS, logistic(300)[None]).escape[0]


@pytest.mark.parametrize("every", [1, 10, 100])
def test_times_do_not_depend_on_the_recording(every):
    """Records that are means since the record before, as a training keeps them."""
    curve = logistic(500, 40.0)
    means = curve.reshape(-1, every).mean(axis=1)
    steps = np.arange(every, 1001, every)
    times = plateau_times(steps, means[None])
    full = plateau_times(STEPS, curve[None])
    assert abs(times.escape[0] - full.escape[0]) <= every
    assert abs(times.half_drop[0] - full.half_drop[0]) <= every


def test_one_run_is_a_curve_without_a_run_axis():
    losses, final = np.ones(1000), logistic(300)
    for name, curve in (("final", final), ("accuracy", 1 - final)):
        one = plateau_times(STEPS, losses, **{name: curve})
        many = plateau_times(STEPS, losses[None], **{name: curve[None]})
        assert one.completion == many.completion and np.isfinite(one.completion[0])
        for wrong in (curve[:-1], np.stack([curve, curve])):
            with pytest.raises(SettingError, match=f"{name}: found shape"):
                plateau_times(STEPS, losses, **{name: wrong})


def window_means(steps, values, window):
    """Written out: at each record the mean since `window` steps before it."""
    start = steps[0] - (steps[1] - steps[0])
    return [
        values[(steps > t - window) & (steps <= t)].mean()
        if t - start >= window
        else np.inf
        for t in steps
    ]


def test_windows_are_in_steps_where_records_are_uneven():
    sparse, dense = np.arange(1000, 4001, 1000), np.arange(4010, 5001, 10)
    late = np.concatenate([sparse, dense])
    early = np.concatenate([np.arange(10, 1001, 10), np.arange(1100, 5001, 100)])
    for steps in (late, early):
        curve = logistic(2500 if steps is late else 3000, 50.0, steps=steps)
        means = np.array(window_means(steps, curve, 200.0))
        expected = steps[np.argmax(means < 0.8)]
        assert first_below(steps, curve[None], 0.8, 200.0)[0] == expected
        level = (means[np.isfinite(means)][0] + means[-1]) / 2
        after = np.argmax(means <= level)
        found = half_drop(steps, curve, 200.0)
        assert steps[after - 1] <= found <= steps[after]
    assert first_below(early, np.zeros((1, 140)), 0.8, 200.0)[0] == 200


def test_windows_count_fractional_steps_exactly():
    steps = 0.1 * np.arange(1, 501)
    values = np.random.default_rng(3).standard_normal((1, 500))
    moved = first_below(steps, values, -0.5, 1.0)
    assert moved == pytest.approx(0.1 * first_below(STEPS[1:501], values, -0.5, 10.0))


def test_a_run_shorter_than_the_window_has_no_times():
    times = plateau_times(STEPS[:50], np.zeros(50))
    assert np.isnan(times.escape[0]) and np.isnan(times.half_drop[0])


def test_half_drop_interpolates():
    steps = np.array([0.0, 1.0, 3.0, 10.0, 11.0, 12.0])
    falling = np.array([1.0, 0.8, 0.2, 0.0, 0.0, 0.0])
    assert half_drop(steps, falling) == pytest.approx(2.0)
    assert np.isnan(half_drop(steps, np.ones(6)))
    assert np.isnan(half_drop(steps, 2 - falling))
    assert np.isnan(half_drop(steps[:5], falling[:5]))  # too few to know the noise


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1])
def test_change_points_of_noisy_plateaus(noise):
    generator = np.random.default_rng(0)
    for center in (300, 450, 700):
        knee = center - 60
        curve = np.clip(1 - (STEPS - knee) / 120, 0.0, 1.0)
        noisy = curve + noise * generator.standard_normal(1000)
        assert change_point(STEPS, noisy) == pytest.approx(knee, abs=10 + 200 * noise)
    straight = 1 - STEPS / 1000 + noise * generator.standard_normal(1000)
    assert np.isnan(change_point(STEPS, straight))


def test_segmentation_is_optimal():
    """Against every way to cut 12 points into segments of at least 3."""
    generator = np.random.default_rng(1)
    t = np.arange(12.0)
    for _ in range(20):
        values = np.where(t < 5, 1.0, 1.0 - 0.3 * (t - 5))
        values = values + 0.2 * generator.standard_normal(12)
        noise = np.median(np.abs(np.diff(values, 2))) / (0.6745 * 6**0.5)
        cost = 9 * noise**2 * np.log(12)

        def total(cuts, values=values, cost=cost):
            bounds = [0, *cuts, 12]
            value = 0.0
            for a, b in zip(bounds, bounds[1:], strict=False):
                if b - a < 3:
                    return np.inf
                line = np.polyval(np.polyfit(t[a:b], values[a:b], 1), t[a:b])
                value += np.sum((values[a:b] - line) ** 2) + cost
            return value

        ways = [c for k in range(4) for c in combinations(range(3, 10), k)]
        assert segments(values).tolist() == [0, *min(ways, key=total)]


def test_an_interval_is_on_a_side_only_as_a_whole():
    logs = bootstrap([0.1, 0.2, 0.3])
    ratio = logs.map(np.exp)
    assert (ratio.low, ratio.high, ratio.count) == (
        np.exp(logs.low),
        np.exp(logs.high),
        3,
    )
    sides = [ratio.side(of, "below", "above") for of in (1.0, ratio.value, 1.5)]
    assert sides == ["above", "not decided", "below"]


def test_bootstrap_agrees_with_the_normal_interval():
    values = np.random.default_rng(2).normal(5.0, 2.0, 400)
    found = bootstrap(values)
    half = 1.96 * values.std() / 20
    assert found.value == values.mean() and found.count == 400
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)
    one = bootstrap([3.0])
    assert (one.low, one.high) == (3.0, 3.0)
    ratio = bootstrap_ratio(np.exp(values / 10), 2 * np.exp(values / 10))
    assert ratio.value == pytest.approx(0.5) and ratio.low < 0.5 < ratio.high
    # Independent resampling: the error of the ratio is √2 that of one mean.
    assert np.log(ratio.high / ratio.low) == pytest.approx(
        2 * half / 10 * 2**0.5, rel=0.1
    )
    with pytest.raises(SettingError):
        bootstrap([1.0, np.nan])


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_ratios_of_values_that_are_not_positive_are_refused(bad):
    with pytest.raises(SettingError, match="first"):
        bootstrap_ratio([1.0, bad], [1.0, 2.0])
    with pytest.raises(SettingError, match="second"):
        bootstrap_ratio([1.0, 2.0], [bad])


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, -0.5, float("nan")])
def test_a_level_is_between_0_and_1(level):
    with pytest.raises(SettingError, match="level"):
        bootstrap([1.0, 2.0], level=level)
    with pytest.raises(SettingError, match="level"):
        bootstrap_ratio([1.0, 2.0], [1.0], level=level)
    with pytest.raises(SettingError, match="resamples"):
        bootstrap([1.0, 2.0], resamples=0)


def test_runs_that_never_escape_make_a_lower_bound():
    curves = np.stack([logistic(400), logistic(500), np.ones(1000)])
    found = plateau_times(STEPS, curves).interval("escape")
    escapes = first_below(STEPS, curves[:2], 0.8)
    assert found.censored == 1 and str(found).startswith("≥")
    assert found.value == pytest.approx((escapes.sum() + 999) / 3)
    assert escapes.min() <= found.low < found.value and found.high == np.inf
    assert found.side(2000.0, "below", "above") == "not decided"
    none = plateau_times(STEPS, np.ones((3, 1000)))
    for name in ("escape", "completion", "half_drop", "change_point"):
        found = none.interval(name)
        assert (found.value, found.low, found.high) == (999, 999, np.inf)
        assert found.count == found.censored == 3
    with pytest.raises(SettingError, match="escape, completion, half_drop"):
        none.interval("start")


def test_runs_without_a_plateau_have_no_end_of_it():
    """They are no lower bound either: the mean is over the others."""
    at_once, late, flat = np.exp(-STEPS / 200), logistic(500), np.ones(1000)
    times = plateau_times(STEPS, np.stack([at_once, late, flat]))
    assert times.dropped.tolist() == [True, True, False]
    assert np.isnan(times.change_point).tolist() == [True, False, True]
    found = times.interval("change_point")
    assert (found.count, found.censored) == (2, 1)
    assert found.value == pytest.approx((times.change_point[1] + 999) / 2)
    alone = plateau_times(STEPS, at_once).interval("change_point")
    assert alone.count == alone.censored == 0 and np.isnan(alone.value)
    assert plateau_times(STEPS, at_once).interval("half_drop").censored == 0


@pytest.mark.parametrize(
    "scale, said",
    [
        (20.0, "above 2 times the normalizer 1, at 20"),
        (0.69, "below 0.8 of .*, at 0.69"),
    ],
)
def test_a_start_far_from_the_normalizer_is_told(scale, said):
    curve = scale * logistic(500)
    with pytest.warns(NormalizerWarning, match=said):
        far = plateau_times(STEPS, curve)
    assert far.start[0] == pytest.approx(scale, rel=1e-3)
    with pytest.warns(NormalizerWarning, match="in 1 of 2 runs"):
        plateau_times(STEPS, np.stack([curve, logistic(500)]))
    near = plateau_times(STEPS, curve, normalizer=scale)  # a warning would be an error
    assert near.start[0] == pytest.approx(1, rel=1e-3)
    assert near.half_drop == pytest.approx(far.half_drop)
    plateau_times(STEPS, np.exp(-STEPS / 100))  # starts at 1, and falls at once
    plateau_times(STEPS, 1 + 10 * np.exp(-STEPS / 5))  # 1 is its plateau
    low = plateau_times(STEPS, 0.69 * logistic(500), escape_below=0.5)
    assert low.start[0] == pytest.approx(0.69, rel=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["losses", "final", "accuracy"])
def test_curves_that_are_not_finite_are_refused(name, value):
    curves = {"losses": np.ones((2, 9))} | {name: np.ones((2, 9))}
    curves[name][1, 4] = value
    with pytest.raises(
        SettingError, match=f"{name}: found {value} in record 4 of run 1"
    ):
        plateau_times(np.arange(9.0), **curves)


@pytest.mark.parametrize(
    "name", ["normalizer", "window", "escape_below", "complete_below"]
)
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_levels_that_mean_nothing_are_refused(name, value):
    with pytest.raises(SettingError, match=name):
        plateau_times(np.arange(3.0), np.ones((1, 3)), **{name: value})
