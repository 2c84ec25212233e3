"""`iclax run` and recipes: what they leave on disk, and what a second call does."""

import json
import tomllib

import numpy as np
import pytest

from iclax._errors import RunError, SettingError
from iclax.cli import main
from iclax.experiments._recipe import Part, Recipe, run_recipe
from iclax.report import Figure, Section, Table, Verdict
from iclax.settings import load_setting, parse_setting

SETTING = """
version = 1
[prompt]
context_length = 8
noise_std = 0.5
[covariates]
kind = "gaussian"
dim = 2
cov = [1.0, 0.5]
[tasks]
kind = "linear"
[training]
steps = 400
batch_size = 64
seeds = [0, 1]
"""


def run_json(capsys, *arguments):
    main([*map(str, arguments), "--json"])
    return json.loads(capsys.readouterr().out)


def test_run_trains_compares_and_is_found_again(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("iclax.experiments._setting_recipe._NUM_PROMPTS", 2**13)
    (tmp_path / "s.toml").write_text(SETTING)
    first = run_json(capsys, "run", "s.toml", "--out", "kept")
    second = run_json(capsys, "run", "s.toml", "--out", "kept")
    assert not first["reused"] and second["reused"]
    assert second["seeds"] == first["seeds"]
    theory = run_json(capsys, "theory", "s.toml")
    np.testing.assert_allclose(first["gamma"], theory["gamma"], rtol=1e-12)
    for seed in first["seeds"]:
        distance = abs(seed["trained_risk"] - seed["exact_risk"])
        assert distance < 4 * seed["trained_risk_se"]
        assert seed["exact_risk"] >= theory["risk"]
    for name in ("report.html", "table.md", "verdicts.json", "figures/entries.pdf"):
        assert (tmp_path / "kept" / name).stat().st_size > 0
    (tmp_path / "t.toml").write_text(SETTING.replace("= 8", "= 9"))
    with pytest.raises(SystemExit) as caught:
        main(["run", "t.toml", "--out", "kept"])
    assert caught.value.code == 2
    assert "context_length = 8 there, 9 here" in capsys.readouterr().err


def small_recipe(calls, value=1.0, fail=False):
    def compute(name, context):
        calls.append(name)
        if fail and name == "b":
            raise RunError("b cannot go on")
        return {"value": value, "list": np.arange(2)}

    def parts(size, seed):
        return [
            Part(name, {"value": value}, lambda context, n=name: compute(n, context))
            for name in ("a", "b")
        ]

    def draw():
        from matplotlib.figure import Figure as Canvas

        return Canvas()

    def report(data, size):
        table = Table("t", ["x"], [{"x": data["a"]["value"]}])
        verdict = Verdict("positive", data["b"]["value"] > 0, "b > 0")
        return [Section("s", ["p"], [table], [Figure("f", "c", draw)], [verdict])]

    return Recipe("r", "R", "ref", "sum", parts, report, workers=2)


def test_recipe_goes_on_after_a_failure(tmp_path):
    calls = []
    options = {"size": "toy", "seed": 0, "folder": tmp_path}
    with pytest.raises(RunError):
        run_recipe(small_recipe(calls, fail=True), **options)
    outcome = run_recipe(small_recipe(calls), **options)
    assert outcome.passed and outcome.reused == ("a",)
    assert calls.count("a") == 1 and calls.count("b") == 2
    assert "verdict" in (tmp_path / "report.html").read_text()


def test_recipe_with_another_config_is_computed_again(tmp_path):
    calls = []
    options = {"size": "toy", "seed": 0, "folder": tmp_path}
    run_recipe(small_recipe(calls), **options)
    outcome = run_recipe(small_recipe(calls, value=-1.0), **options)
    assert outcome.reused == () and not outcome.passed


def test_damaged_part_is_reported(tmp_path):
    options = {"size": "toy", "seed": 0, "folder": tmp_path}
    run_recipe(small_recipe([]), **options)
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(RunError, match="a.json is damaged.*Remove that file"):
        run_recipe(small_recipe([]), **options)


def test_runs_are_listed_and_taken_back(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = small_recipe([])
    run_recipe(recipe, size="toy", seed=3, folder=tmp_path / "runs" / "good")
    with pytest.raises(RunError):
        broken = small_recipe([], fail=True)
        run_recipe(broken, size="toy", seed=3, folder=tmp_path / "runs" / "bad")
    (tmp_path / "runs" / "damaged").mkdir()
    (tmp_path / "runs" / "damaged" / "run.json").write_text("{")
    (tmp_path / "runs" / "other").mkdir()
    found = {row["run"]: row for row in run_json(capsys, "runs")["runs"]}
    assert set(found) == {"good", "bad", "damaged"}
    assert found["good"]["status"] == "finished" and found["good"]["seeds"] == [3]
    assert found["good"]["verdict"] == "1 of 1 verdicts hold"
    assert found["bad"]["status"] == "failed"
    assert "b cannot go on" in found["bad"]["reason"]
    assert found["damaged"]["status"] == "damaged"
    main(["runs", "runs"])
    text = capsys.readouterr().out
    assert "toy, seed 3" in text and text.count("\n") == 4
    with pytest.raises(SystemExit) as caught:
        main(["runs", "nowhere"])
    assert caught.value.code == 2 and "nowhere" in capsys.readouterr().err
    setting = parse_setting(tomllib.loads(SETTING))
    saved = {"recipe": "a setting file", "setting": setting.model_dump(mode="json")}
    (tmp_path / "setting.json").write_text(json.dumps(saved))
    assert load_setting(tmp_path / "setting.json") == setting
    (tmp_path / "setting.json").write_text("[]")
    with pytest.raises(SettingError, match="no setting"):
        load_setting(tmp_path / "setting.json")
