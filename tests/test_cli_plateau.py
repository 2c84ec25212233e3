"""`iclax plateau` as it is used: what it prints, and what it says of wrong input."""

import json

import numpy as np
import pytest

from iclax.cli import main
from iclax.evaluation import first_below, plateau_times

STEPS = np.arange(1000)


def logistic(center):
    return 1 / (1 + np.exp((STEPS - center) / 30))


def table(path, **columns):
    rows = np.stack([STEPS, *columns.values()], axis=1)
    lines = [",".join(map(str, row)) for row in rows.tolist()]
    path.write_text("\n".join([",".join(["step", *columns]), *lines]) + "\n")
    return str(path)


def printed(capsys, *arguments):
    main(["plateau", *arguments])
    return capsys.readouterr().out


def test_the_command_prints_times(tmp_path, capsys):
    path = table(tmp_path / "curve.csv", a=logistic(300), b=np.ones(1000))
    found = json.loads(printed(capsys, path, "--json"))
    expected = first_below(STEPS, logistic(300)[None], 0.8)[0]
    assert found["per_run"]["escape"] == [expected, None]
    assert found["per_run"]["dropped"] == [True, False]
    assert found["escape"]["censored"] == 1 and found["escape"]["high"] is None
    assert found["runs"] == ["a", "b"] and found["warnings"] == found["left_out"] == []
    text = printed(capsys, path)
    assert f"≥ {(expected + 999) / 2:.4g} [" in text and ", inf]" in text
    assert text.count("(not by step 999 in 1 of 2 runs)") == 4
    assert f"{expected:.4g} (1 run, no interval)" in printed(
        capsys, path, "--column", "a"
    )


def test_noise_prints_no_number(tmp_path, capsys):
    generator = np.random.default_rng(0)
    curves = {name: 1 + 0.1 * generator.standard_normal(1000) for name in "abc"}
    path = table(tmp_path / "flat.csv", **curves)
    lines = printed(capsys, path).splitlines()[1:]
    assert [line.split()[0] for line in lines] == [
        "escape",
        "completion",
        "half_drop",
        "change_point",
    ]
    assert all("not by step 999 in 3 of 3 runs" in line for line in lines)
    assert not any("[" in line or "≥" in line for line in lines)
    one = printed(capsys, path, "--column", "a")
    assert one.count("not by step 999   ") == 4 and "≥" not in one


def test_a_drop_without_a_plateau_is_told(tmp_path, capsys):
    at_once = np.exp(-STEPS / 200)
    path = table(tmp_path / "a.csv", a=at_once, b=logistic(500))
    found = json.loads(printed(capsys, path, "--json"))
    end = plateau_times(STEPS, logistic(500)).change_point[0]
    assert found["per_run"]["change_point"] == [None, end]
    assert found["change_point"] == {
        "value": end,
        "low": end,
        "high": end,
        "count": 1,
        "censored": 0,
    }
    text = printed(capsys, path)
    assert "(no plateau seen before the drop in 1 of 2 runs)" in text
    alone = printed(capsys, path, "--column", "a")
    assert "change_point  no plateau seen before the drop   end of" in alone
    assert "nan" not in text + alone


@pytest.mark.parametrize("scale, said", [(20, "above 2 times"), (0.69, "below 0.8 of")])
def test_a_far_normalizer_is_told_in_one_line(tmp_path, capsys, scale, said):
    path = table(tmp_path / "far.csv", loss=scale * logistic(500))
    text = printed(capsys, path)
    assert (
        f"  warning: the loss starts {said} the normalizer 1" in text.splitlines()[-1]
    )
    found = json.loads(printed(capsys, path, "--json"))
    assert len(found["warnings"]) == 1 and said in found["warnings"][0]
    assert found["per_run"]["start"][0] == pytest.approx(scale, rel=1e-3)
    near = json.loads(printed(capsys, path, "--json", "--normalizer", f"{scale}"))
    assert near["warnings"] == []


def test_columns_that_are_no_runs_are_told(tmp_path, capsys):
    a, b = logistic(300), logistic(500)
    columns = {"a": a, "a__MIN": a - 0.5, "a__MAX": a + 0.5, "b": b}
    path = table(tmp_path / "wandb.csv", **columns)
    text = printed(capsys, path)
    assert "2 runs (a, b)" in text and "left out: a__MIN, a__MAX (" in text
    found = json.loads(printed(capsys, path, "--json"))
    assert found["runs"] == ["a", "b"]
    assert found["left_out"] == ["a__MIN", "a__MAX"]
    asked = printed(capsys, path, "--column", "a__MAX")
    assert "1 run (a__MAX)" in asked and "left out" not in asked


@pytest.mark.parametrize(
    "name, content, arguments, said",
    [
        ("none.csv", None, [], "no such file"),
        ("a.csv", b"", [], "an empty file"),
        ("a.csv", bytes(range(256)), [], "UTF-8"),
        ("a.json", b'{"a": [1, 2]}\n', [], "separated by commas"),
        ("a.csv", b"0.0 1.0\n1.0 0.5\n2.0 0.2\n", [], "separated by commas"),
        ("a.tfevents", b"", [], "no scalars"),
        ("a.csv", b"step,lr\n1,2\n2,3\n3,4\n", [], "no column of losses"),
        ("a.csv", b"step,loss\n1,2\n2,3\n", ["--window", "9"], "window: found 9 steps"),
        ("a.csv", b"step,loss\n1,2\n2,3\n", ["--window", "0"], "window: found 0"),
        ("a.csv", b"step,loss\n1,2\n2,3\n", ["--column", "b"], "one of loss"),
        (".", None, [], "no event files"),
    ],
)
def test_wrong_input_ends_with_one_message(
    tmp_path, capsys, name, content, arguments, said
):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SystemExit) as stop:
        main(["plateau", str(path), *arguments])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1 and said in error
