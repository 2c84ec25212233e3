"""Plateau times against curves whose times are known, and against other definitions."""

import json
import struct
from itertools import combinations

import numpy as np
import pytest

from iclax._errors import SettingError
from iclax.cli import main
from iclax.evaluation import (
    bootstrap,
    bootstrap_ratio,
    change_point,
    first_below,
    half_drop,
    load_curves,
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


def test_a_descent_without_a_plateau_starts_at_the_first_step():
    steps = np.arange(5, 1005)
    assert change_point(steps, np.exp(-steps / 200)) == 5.0


def test_half_drop_interpolates():
    steps = np.array([0.0, 1.0, 3.0, 10.0])
    assert half_drop(steps, np.array([1.0, 0.8, 0.2, 0.0])) == pytest.approx(2.0)
    assert np.isnan(half_drop(steps, np.ones(4)))
    assert np.isnan(half_drop(steps, np.array([1.0, 1.2, 1.5, 2.0])))


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
    assert found.censored == 1 and str(found).startswith("≥")
    escapes = first_below(STEPS, curves[:2], 0.8)
    assert found.value == pytest.approx((escapes.sum() + 999) / 3)


def write_events(path, points, tag="train/loss", tensor=False):
    """Event records byte by byte, from the published formats."""

    def varint(n):
        out = b""
        while n > 127:
            out, n = out + bytes([n & 127 | 128]), n >> 7
        return out + bytes([n])

    def block(number, body):
        return varint(number << 3 | 2) + varint(len(body)) + body

    data = b""
    for step, value in points:
        if tensor:  # dtype DT_FLOAT, then tensor_content
            inner = varint(8) + varint(1) + block(4, struct.pack("<f", value))
            body = block(1, tag.encode()) + block(8, inner)
        else:
            body = (
                block(1, tag.encode()) + varint(2 << 3 | 5) + struct.pack("<f", value)
            )
        event = varint(1 << 3 | 1) + struct.pack("<d", 1.5e9)
        event += varint(2 << 3) + varint(step) + block(5, block(1, body))
        data += struct.pack("<Q", len(event)) + b"\0" * 4 + event + b"\0" * 4
    path.write_bytes(data)


@pytest.mark.parametrize("tensor", [False, True])
def test_event_files_are_read(tmp_path, tensor):
    for run, center in enumerate((300, 400)):
        path = tmp_path / f"run{run}" / "events.out.tfevents.1"
        path.parent.mkdir()
        write_events(
            path,
            list(zip(STEPS[::5], logistic(center)[::5], strict=True)),
            tensor=tensor,
        )
    curves = load_curves(tmp_path)
    assert curves.values.shape == (2, 200) and curves.steps[1] == 5
    np.testing.assert_allclose(curves.values[1], logistic(400)[::5], rtol=1e-6)
    whole = (tmp_path / "run0" / "events.out.tfevents.1").read_bytes()
    cut = tmp_path / "cut.tfevents"
    cut.write_bytes(whole[:-30])
    assert load_curves(cut).values.shape == (1, 199)
    with pytest.raises(SettingError, match="train/loss"):
        load_curves(cut, "nothing")
    cut.write_bytes(b"\x01" + b"\0" * 11 + b"\xff" * 40)
    with pytest.raises(SettingError):
        load_curves(cut)


def test_event_files_of_another_writer(tmp_path):
    writer_module = pytest.importorskip("tensorboardX")
    with writer_module.SummaryWriter(str(tmp_path)) as writer:
        for step in range(0, 1000, 10):
            writer.add_scalar("accuracy", 0.5, step)
            writer.add_scalar("loss", logistic(300)[step], step)
    curves = load_curves(tmp_path)
    np.testing.assert_allclose(curves.values[0], logistic(300)[::10], rtol=1e-6)


def test_tables_are_read_wide_and_long(tmp_path):
    wide, long = tmp_path / "wide.csv", tmp_path / "long.csv"
    a, b = logistic(300), logistic(400)
    wide.write_text(
        "step,first,second\n"
        + "\n".join(f"{t},{x},{y}" for t, x, y in zip(STEPS, a, b, strict=True))
    )
    long.write_text(
        "seed,iteration,loss\n"
        + "\n".join(f"{s},{t},{c[t]}" for t in STEPS for s, c in ((7, a), (9, b)))
    )
    first, second = load_curves(wide), load_curves(long)
    np.testing.assert_allclose(first.values, second.values)
    assert first.names == ("first", "second") and second.names == ("7", "9")
    assert load_curves(wide, "second").values.shape == (1, 1000)
    plain = tmp_path / "plain.csv"
    plain.write_text("0,1.0\n1,0.5\n2,0.25\n")
    assert load_curves(plain).values.tolist() == [[1.0, 0.5, 0.25]]


def test_runs_keep_all_digits_of_their_seed(tmp_path):
    path = tmp_path / "long.csv"
    seeds = ("1000001", "1000002", "0.1234567")
    path.write_text(
        "seed,step,loss\n"
        + "\n".join(f"{s},{t},{i}" for i, s in enumerate(seeds) for t in (0, 1))
    )
    curves = load_curves(path)
    found = dict(zip(curves.names, curves.values[:, 0], strict=True))
    assert found == {"1000001": 0.0, "1000002": 1.0, "0.1234567": 2.0}


def test_a_table_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("step,Größe\n0,1\n1,2\n".encode("latin-1"))
    with pytest.raises(SettingError, match="UTF-8"):
        load_curves(path)
    path.write_bytes("\ufeffloss,step\n3,0\n4,1\n".encode())
    assert load_curves(path).names == ("loss",)


@pytest.mark.parametrize(
    "text, message",
    [
        ("step,loss,loss\n0,1,2\n1,1,2\n", "two columns named 'loss'"),
        ("step,loss\n0,1\nnan,1\n2,1\n", "nan in column step"),
        ("step,loss\n0,1\n1,1\ninf,1\n", "inf in column step"),
        ("seed,step,loss\nnan,0,1\n1,0,1\n1,1,1\n", "nan in column seed"),
        ("seed,step,loss\n1e17,0,1\n1,0,1\n1,1,1\n", "1e.17 in column seed"),
        ("", "empty"),
        ("step,loss\n0,1\n1,oops\n", "'oops' in line 3"),
        ("step,loss\n0,1\n1\n", "1 cells in line 3"),
        ("step,loss\n0,1\n", "1 rows"),
    ],
)
def test_bad_tables_name_the_place(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(SettingError, match=message):
        load_curves(path)


def test_the_command_prints_times(tmp_path, capsys):
    path = tmp_path / "curve.csv"
    rows = "\n".join(f"{t},{x},1.0" for t, x in zip(STEPS, logistic(300), strict=True))
    path.write_text("step,a,b\n" + rows)
    main(["plateau", str(path), "--json"])
    found = json.loads(capsys.readouterr().out)
    expected = first_below(STEPS, logistic(300)[None], 0.8)[0]
    assert found["per_run"]["escape"] == [expected, None]
    assert found["escape"]["censored"] == 1
    main(["plateau", str(path), "--column", "a"])
    assert f"{expected:.4g}" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["plateau", str(tmp_path / "none.csv")])
    assert stop.value.code == 2 and "no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "header, names",
    [
        ("Wall time,Step,Value", ("Value",)),
        ("step,epoch,loss,lr", ("loss",)),
        ("step,time,a,b", ("a", "b")),
    ],
)
def test_columns_that_are_no_losses_are_no_runs(tmp_path, header, names):
    columns = header.count(",") + 1
    rows = [",".join(str(i + j) for j in range(columns)) for i in range(4)]
    (tmp_path / "a.csv").write_text("\n".join([header, *rows]) + "\n")
    assert load_curves(tmp_path / "a.csv").names == names


@pytest.mark.parametrize(
    "text, said",
    [
        ("step,loss\n1,2\n1,3\n2,1\n", "step 1 twice"),
        ("step,loss\n1,2\n2,nan\n", "nan in column loss"),
        ("step,seed,loss\n1,0,2\n2,0,inf\n", "inf in column loss"),
        ("step,lr\n1,2\n2,3\n", "no column of losses"),
    ],
)
def test_tables_that_are_no_curves_are_refused(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SettingError, match=said):
        load_curves(tmp_path / "a.csv")


def test_the_steps_are_no_curve(tmp_path):
    (tmp_path / "a.csv").write_text("step,loss\n1,2\n2,1\n")
    with pytest.raises(SettingError, match="one of loss"):
        load_curves(tmp_path / "a.csv", "step")


@pytest.mark.parametrize(
    "name", ["normalizer", "window", "escape_below", "complete_below"]
)
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_levels_that_mean_nothing_are_refused(name, value):
    with pytest.raises(SettingError, match=name):
        plateau_times(np.arange(3.0), np.ones((1, 3)), **{name: value})
