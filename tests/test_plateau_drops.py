"""A drop is one beyond the noise: how often noise passes, and how often drops do."""

import numpy as np
import pytest
from helpers import mostly_in_ci
from scipy.linalg import toeplitz
from scipy.signal import lfilter

from iclax.evaluation import change_point, half_drop, plateau_times
from iclax.evaluation._drops import _standard_error
from iclax.evaluation._windows import start_less_end


def autoregressive(generator, count, phi):
    """Stationary AR(1) noise of variance 1."""
    fresh = generator.standard_normal(count + 600) * np.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], fresh)[600:]


NOISES = {
    "white": lambda g, n: g.standard_normal(n),
    "heavy tails": lambda g, n: g.standard_t(3, n),
    "rounded": lambda g, n: np.round(0.35 * g.standard_normal(n)),
    "phi 0.5": lambda g, n: autoregressive(g, n, 0.5),
    "phi 0.9": lambda g, n: autoregressive(g, n, 0.9),
    "white and slow": lambda g, n: NOISES["white"](g, n) + NOISES["phi 0.9"](g, n) / 2,
    "moving average": lambda g, n: np.convolve(
        g.standard_normal(n + 9), np.ones(10) / 10, "valid"
    ),
}
X = (np.arange(1000) + 0.5) / 1000
FALLS = {
    "sharp": np.where(X < 0.5, 1.0, 0.0),
    "late": np.where(X < 0.93, 1.0, 0.0),
    "logistic": 1 / (1 + np.exp((X - 0.5) / 0.05)),
    "knee": np.clip(1 - (X - 0.4) / 0.12, 0, 1),
    "line": 1 - X,
    "exponential": np.exp(-5 * X),
    "stairs": 1 - 0.5 * (X > 0.3) - 0.5 * (X > 0.7),
    "falls and rises": np.where(
        X < 0.6, 1 / (1 + np.exp((X - 0.3) / 0.03)), 0.8 * (X - 0.6)
    ),
    "rises and falls": np.where(X < 0.5, 1 + 0.2 * X, 1.1 - 2 * (X - 0.5)),
}
# Of these falls no flat part comes first.
AT_ONCE = ("line", "exponential")


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("count", mostly_in_ci([100, 400], keep=[100]))
def test_flat_noisy_curves_have_no_times(noise, count):
    """At most one half drop in a hundred, two where the noise is not AR(1)."""
    generator = np.random.default_rng(count)
    steps = np.arange(count)
    curves = [1 + 0.1 * NOISES[noise](generator, count) for _ in range(300)]
    rates = [
        np.mean([np.isfinite(half_drop(steps, y, window)) for y in curves])
        for window in (1.0, count / 10, count / 3)
    ]
    assert max(rates) <= (0.02 if noise == "white and slow" else 0.01)
    ends = [change_point(steps, y) for y in curves[: 10_000 // count]]
    assert np.mean(np.isfinite(ends)) <= 0.01


@pytest.mark.parametrize("count, most", [(6, 0.03), (10, 0.005), (30, 0.003)])
def test_few_records_of_white_noise_have_no_times(count, most):
    generator = np.random.default_rng(1)
    steps, found = np.arange(count), []
    for _ in range(1000):
        found.append(half_drop(steps, generator.standard_normal(count), 2.0))
    assert np.mean(np.isfinite(found)) <= most


@pytest.mark.parametrize(
    "count, window", [(1000, 0.0), (1000, 100.0), (200, 0.0), (200, 20.0)]
)
@pytest.mark.parametrize("name", FALLS)
def test_drops_of_eight_standard_errors_are_found(name, count, window):
    """At the very step at which they were found before the noise was asked for."""
    fall = FALLS[name].reshape(count, -1).mean(axis=1)
    steps = np.arange(count)
    weights = start_less_end(steps, window)
    level = weights @ fall / 8 / np.linalg.norm(weights)
    generator = np.random.default_rng(2)
    curves = fall + level * generator.standard_normal((100, count))
    found = np.array([half_drop(steps, y, window) for y in curves])
    assert np.mean(np.isfinite(found)) >= 0.9
    for time, y in zip(found, curves, strict=True):
        if np.isfinite(time):
            assert time == pytest.approx(half_way(steps, y, window))


def half_way(steps, curve, window):
    """The definition, written out for a record a step."""
    size = max(int(window), 1)
    means = np.convolve(curve, np.ones(size) / size, "valid")
    level = (means[0] + means[-1]) / 2
    after = np.argmax(means <= level)
    share = (means[after - 1] - level) / (means[after - 1] - means[after])
    return steps[size - 1 + after - 1] + share


@pytest.mark.parametrize("every", [1, 10, 50])
@pytest.mark.parametrize("name", FALLS)
def test_noiseless_falls_keep_their_times(name, every):
    """However small, slow or coarsely recorded."""
    fall = FALLS[name].reshape(-1, every).mean(axis=1)
    steps = np.arange(every, 1001, every)
    times = plateau_times(steps, np.stack([fall, 0.9999 + 1e-4 * fall]))
    assert times.dropped.all()
    np.testing.assert_allclose(times.half_drop, times.half_drop[0], rtol=1e-6)
    assert np.isnan(times.change_point).all() == (name in AT_ONCE)


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("rate", [3.0, 5.0, 20.0])
def test_a_descent_at_once_has_no_change_point(rate, noise):
    generator = np.random.default_rng(3)
    curve = np.exp(-rate * X) + noise * generator.standard_normal(1000)
    assert np.isnan(change_point(np.arange(5, 1005), curve))
    assert np.isfinite(half_drop(np.arange(5, 1005), curve, 10.0))


@pytest.mark.parametrize("value", [0.1, 0.69, 1 / 3, 20.0])
def test_rounding_is_no_drop(value):
    """Sums of equal numbers differ in their last digits."""
    steps = np.arange(3000)
    assert np.isnan(half_drop(steps, np.full(3000, value), 100.0))
    generator = np.random.default_rng(4)
    single = np.float32(value) * (1 + 6e-8 * generator.integers(0, 2, 3000))
    assert np.isnan(half_drop(steps, single, 100.0))


def test_a_larger_window_shows_smaller_drops():
    generator = np.random.default_rng(5)
    curve = 0.85 + 0.15 * FALLS["logistic"] + 0.1 * generator.standard_normal(1000)
    steps = np.arange(1000)
    assert np.isnan(half_drop(steps, curve, 1.0))
    assert half_drop(steps, curve, 100.0) == pytest.approx(550, abs=60)


def test_a_run_that_has_not_dropped_has_no_change_point():
    """One answer a run, though the fit averages over more than the window."""
    generator = np.random.default_rng(10)
    curve = 0.5 + 0.5 * FALLS["knee"] + 0.1 * generator.standard_normal(1000)
    steps = np.arange(1000)
    assert change_point(steps, curve) == pytest.approx(400, abs=20)
    short, long = (plateau_times(steps, curve, window=w) for w in (1.0, 100.0))
    assert not short.dropped[0] and np.isnan(short.change_point[0])
    assert short.interval("change_point").censored == 1
    assert long.dropped[0] and long.change_point[0] == change_point(steps, curve)


def test_single_jumps_of_a_noisy_curve_are_not_its_noise():
    """Not the drop itself, and not a spike."""
    generator = np.random.default_rng(6)
    noise = 0.02 * generator.standard_normal(200)
    curve = np.where(np.arange(200) < 120, 1.0, 0.5) + noise
    spiked = curve + 50 * (np.arange(200) == 60)
    for y in (curve, spiked):
        assert half_drop(np.arange(200), y, 20.0) == pytest.approx(129, abs=1)


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("window", [1.0, 10.0, 200.0, 700.0])
def test_the_standard_error_is_that_of_the_noise(phi, window):
    """Against the sum over all pairs, windows that overlap included: on average larger
    by what the caution about φ adds, as computed here."""
    count = 1000
    weights = start_less_end(np.arange(count), window)

    def exact(phi):
        return np.sqrt(weights @ toeplitz(phi ** np.arange(count)) @ weights)

    generator = np.random.default_rng(7)
    found = [
        _standard_error(autoregressive(generator, count, phi), weights)
        for _ in range(60)
    ]
    caution = phi + 3 / np.sqrt(count)
    variance = (1 - phi) * (3 - phi) / ((1 - caution) * (3 - caution))
    expected = np.sqrt(variance) * exact(caution)
    assert np.median(found) == pytest.approx(expected, rel=0.1)
    assert expected > exact(phi)
