"""Folders of recipes and of `iclax run`: whose they are, damage, and what is said."""

import json

import numpy as np
import pytest

from iclax._errors import RunError
from iclax._files import Lock
from iclax.cli import main
from iclax.cli._run import run
from iclax.covariates import Gaussian
from iclax.experiments import _recipe, _setting_recipe
from iclax.experiments._claims import Claim
from iclax.experiments._comparison import Comparison
from iclax.experiments._facts import training_facts
from iclax.experiments._recipe import Part, Recipe, run_recipe
from iclax.experiments._run_identity import claim_folder
from iclax.prompts import PromptDistribution
from iclax.report import Figure, Section, Verdict, write_html
from iclax.tasks import Linear

SETTING = """
version = 1
[prompt]
context_length = 3
[covariates]
kind = "data"
path = "x.csv"
[tasks]
kind = "linear"
[training]
steps = 7
seeds = [4, 6]
"""


def draw():
    from matplotlib.figure import Figure as Canvas

    return Canvas()


def recipe(name="r", calls=None, stop=False):
    def compute(context):
        if stop:
            raise KeyboardInterrupt
        [] if calls is None else calls.append(name)
        return {"value": 1.0, "num_prompts": 64}

    def parts(size, seed):
        config = {"seed": seed, "steps": 10, "rate": 0.5, "seeds": 2}
        return [Part("a", config, compute)]

    def report(data, size):
        verdict = Verdict("positive", data["a"]["value"] > 0, "a > 0")
        return [Section("s", [], [], [Figure("f", "c", draw)], [verdict])]

    return Recipe(name, "R", "ref", "sum", parts, report)


def options(folder, **changes):
    return {"size": "toy", "seed": 0, "folder": folder} | changes


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "name, changes, told",
    [
        ("r", {"seed": 1}, "seed = 0 there, 1 here"),
        ("r", {"size": "laptop"}, "size = 'toy' there, 'laptop' here"),
        ("q", {"seed": 1}, "recipe = 'r' there, 'q' here"),
    ],
)
def test_a_folder_of_another_run_is_left_alone(tmp_path, name, changes, told):
    run_recipe(recipe(), **options(tmp_path))
    before = contents(tmp_path)
    with pytest.raises(RunError, match=f"{told}. Choose another --out, or --force"):
        run_recipe(recipe(name), **options(tmp_path, **changes))
    assert contents(tmp_path) == before
    assert run_recipe(recipe(), **options(tmp_path)).reused == ("a",)
    with pytest.raises(KeyboardInterrupt):
        stopped = recipe(name, stop=True)
        run_recipe(stopped, **options(tmp_path, force=True, **changes))
    assert not (tmp_path / "report.html").exists()  # it was the other run's
    run_recipe(recipe(name), **options(tmp_path, **changes))


def test_a_folder_that_does_not_say_whose_it_is_is_taken(tmp_path):
    run_recipe(recipe(), **options(tmp_path))
    (tmp_path / "setting.json").unlink()
    assert run_recipe(recipe(), **options(tmp_path)).reused == ("a",)
    assert json.loads((tmp_path / "setting.json").read_text())["seed"] == 0


def test_what_an_older_run_of_a_setting_wrote_is_understood(tmp_path):
    own = {"recipe": "a setting file", "setting": {"steps": 1}}
    old = {"fingerprint": "0", "setting": {"steps": 1}}
    (tmp_path / "setting.json").write_text(json.dumps(old))
    claim_folder(tmp_path, own, False)
    with pytest.raises(RunError, match=r"run: steps = 1 there, 2 here\. Choose"):
        claim_folder(tmp_path, own | {"setting": {"steps": 2}}, False)
    with pytest.raises(RunError, match="recipe = 'a setting file' there, 'r' here"):
        claim_folder(tmp_path, {"recipe": "r", "size": "toy", "seed": 0}, False)


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.json", "[]"),
        ("a.json", "null"),
        ("a.json", '{"fingerprint": "1"}'),
        ("a.json", '{"fingerprint": "1", "data": []}'),
        ("a.json", "{"),
        ("setting.json", "[]"),
        ("setting.json", '{"recipe": '),
    ],
)
def test_a_damaged_file_is_named_as_the_one_to_remove(tmp_path, name, text):
    run_recipe(recipe(), **options(tmp_path))
    (tmp_path / name).write_text(text)
    with pytest.raises(RunError, match=f"{name} is damaged .*Remove that") as caught:
        run_recipe(recipe(), **options(tmp_path))
    assert "--force" not in str(caught.value)
    (tmp_path / name).unlink()
    assert run_recipe(recipe(), **options(tmp_path)).passed


def test_saved_data_that_lack_a_key_are_damage_and_fresh_ones_are_not(tmp_path):
    run_recipe(recipe(), **options(tmp_path))
    saved = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "a.json").write_text(json.dumps(saved | {"data": {}}))
    with pytest.raises(RunError, match="found there in a.json .KeyError: 'value'"):
        run_recipe(recipe(), **options(tmp_path))
    with pytest.raises(KeyError):
        broken = Recipe("b", "", "", "", recipe().parts, lambda data, _: data["b"])
        run_recipe(broken, **options(tmp_path / "b"))


@pytest.mark.parametrize("name", ["report.html", "table.md", "figures"])
def test_a_report_that_cannot_be_written_says_so(tmp_path, name):
    if name == "figures":
        (tmp_path / name).write_text("")
    else:
        (tmp_path / name).mkdir()
    with pytest.raises(RunError, match=f"{name} cannot be written"):
        run_recipe(recipe(), **options(tmp_path))
    assert json.loads((tmp_path / "a.json").read_text())["data"]["value"] == 1


def test_a_report_states_how_its_numbers_were_made(tmp_path):
    run_recipe(recipe(), **options(tmp_path, seed=3))
    for name in ("table.md", "report.html"):
        text = (tmp_path / name).read_text()
        for fact in (
            "recipe: r, size toy",
            "steps: 10",
            "learning rate: 0.5",
            "evaluation prompts: 64",
            "seeds: 3, 4",
        ):
            assert fact in text
    configs = [{"training": {"batch_size": 8, "seeds": [5]}}, {"batch_size": 16}]
    found = training_facts(configs, {}, 0)
    assert found == {"batch size": "8, 16", "seeds": "5"}


@pytest.fixture
def quick_run(tmp_path, monkeypatch):
    """`iclax run` with a comparison that costs nothing."""

    def compute(setting, name, context):
        return {"rows": setting.prompts().covariates.rows.tolist(), "holds": None}

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_setting_recipe, "_compute", compute)
    monkeypatch.setattr(_setting_recipe, "_report", lambda data, size: [Section("s")])
    (tmp_path / "s.toml").write_text(SETTING)
    (tmp_path / "x.csv").write_text("1,2\n3,4\n")


def exit_code(*arguments):
    try:
        main(list(arguments))
    except SystemExit as stopped:
        return stopped.code
    return 0


def test_a_changed_data_file_is_another_run(quick_run, tmp_path, capsys):
    arguments = ["run", "s.toml", "--out", "kept"]
    assert exit_code(*arguments) == 0 and exit_code("run", "s.toml") == 0
    assert "not computed again" not in capsys.readouterr().out
    assert exit_code(*arguments) == 0
    assert "not computed again" in capsys.readouterr().out
    (tmp_path / "x.csv").write_text("1,2\n3,5\n")
    assert exit_code("run", "s.toml") == 0
    assert "not computed again" not in capsys.readouterr().out
    assert len(list((tmp_path / "runs").iterdir())) == 2
    assert exit_code(*arguments) == 2
    assert "files.covariates.path" in capsys.readouterr().err
    assert exit_code(*arguments, "--force") == 0
    saved = json.loads((tmp_path / "kept" / "comparison.json").read_text())
    assert saved["data"]["rows"] == [[1, 2], [3, 5]]


def test_a_result_of_other_sources_is_replaced_in_its_folder_and_why_is_said(
    quick_run, tmp_path, monkeypatch, capsys
):
    assert exit_code("run", "s.toml") == 0
    capsys.readouterr()
    monkeypatch.setattr(_recipe, "sources", lambda: "fixed")
    assert exit_code("run", "s.toml") == 0
    told = capsys.readouterr()
    assert "comparison: made by other sources of iclax, computed again" in told.err
    assert "not computed again" not in told.out
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert exit_code("run", "s.toml") == 0
    told = capsys.readouterr()
    assert "made by" not in told.err and "not computed again" in told.out


def test_a_folder_in_use_is_not_touched(quick_run, tmp_path, capsys):
    assert exit_code("run", "s.toml", "--out", "kept") == 0
    before = contents(tmp_path / "kept")
    (tmp_path / "t.toml").write_text(SETTING.replace("= 7", "= 8"))
    with Lock(tmp_path / "kept"):
        assert exit_code("run", "t.toml", "--out", "kept", "--force") == 2
    assert "in use" in capsys.readouterr().err
    after = contents(tmp_path / "kept")
    lock = tmp_path / "kept" / ".lock"
    assert {p: after[p] for p in after if p != lock} == {
        p: before[p] for p in before if p != lock
    }


def test_a_wrong_setting_leaves_no_folder(quick_run, tmp_path):
    (tmp_path / "x.csv").write_text("1,2\n3\n")
    assert exit_code("run", "s.toml", "--out", "kept") == 2
    assert not (tmp_path / "kept").exists()


def test_run_and_reproduce_do_not_share_a_folder(quick_run, tmp_path, capsys):
    run_recipe(recipe(), **options(tmp_path / "kept"))
    assert exit_code("run", "s.toml", "--out", "kept") == 2
    assert "recipe = 'r' there, 'a setting file' here" in capsys.readouterr().err


def test_the_report_of_a_run_states_the_setting_and_no_size(quick_run, tmp_path):
    assert exit_code("run", "s.toml", "--out", "kept") == 0
    text = (tmp_path / "kept" / "table.md").read_text()
    for fact in ("setting: s\n", "steps: 7", "seeds: 4, 6", "context_length = 3"):
        assert fact in text
    assert "laptop" not in text
    assert "Exit code" in run.__doc__


def claim(form="plain", **known):
    prompts = PromptDistribution(Gaussian(np.eye(1)), Linear(np.eye(1)), 3, 0.0)
    return Claim(prompts, form, "", **known)


def test_nothing_is_said_to_hold_that_was_not_judged(tmp_path):
    found = object.__new__(Comparison)  # without the training that it holds
    vars(found).update(claim=claim("unknown"), checks=())
    assert found.holds is None
    assert found.verdict.startswith("not decided: not known: there is no exact theory")
    page = tmp_path / "report.html"
    parts = {"title": "t", "facts": {}, "figures": tmp_path}
    write_html(page, sections=[Section("s")], **parts)
    text = page.read_text()
    assert "not judged" in text and 'class="held"' not in text
    verdict = Verdict("v", True, "")
    write_html(page, sections=[Section("s", verdicts=[verdict])], **parts)
    assert "1 of 1 verdicts hold" in page.read_text()
    assert '<p class="held">' in page.read_text()
