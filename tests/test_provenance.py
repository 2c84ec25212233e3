"""What is shown is what was measured: versions and sources stay with the numbers."""

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import part_jobs
import pytest

import iclax
from iclax._errors import RunError
from iclax.experiments import (
    _facts,
    _provenance,
    _recipe,
    load_recipe,
    recipe_names,
)
from iclax.experiments._facts import provenance_facts
from iclax.experiments._recipe import Part, Recipe, run_recipe
from iclax.experiments._setting_recipe import run_folder, setting_recipe
from iclax.report import Section, Verdict
from iclax.runs import _versions, open_run, read_run, versions
from iclax.runs._sources import digest_sources, sources
from iclax.settings import load_setting
from iclax.training import SGD, train

PACKAGE = Path(iclax.__file__).parent


def report(data, size):
    verdicts = [Verdict(name, p["value"] > 0, "") for name, p in data.items()]
    return [Section("s", verdicts=verdicts)]


def recipe(names="ab", compute=part_jobs.one_number, steps=1, **changes):
    def parts(size, seed):
        return [Part(name, {"seed": seed, "steps": steps}, compute) for name in names]

    return Recipe("r", "R", "ref", "sum", parts, report, **changes)


def options(folder, **changes):
    return {"size": "toy", "seed": 0, "folder": folder} | changes


def saved(folder, name="a"):
    def refuse(constant):
        raise ValueError(f"{constant} is no JSON")

    text = (folder / f"{name}.json").read_text()
    return json.loads(text, parse_constant=refuse)


def facts(folder):
    found = saved(folder, "verdicts")["facts"]
    table, page = ((folder / n).read_text() for n in ("table.md", "report.html"))
    for name, value in found.items():
        assert f"- {name}: {value}" in table
        assert f"{name}: {value}<br>".replace("&", "&amp;") in page
    return found


def become(monkeypatch, versions="9.9", device="gpu", sources=None):
    """This process is another: packages, device and perhaps sources."""

    class Device:
        device_kind = device

    class Jax:
        devices = staticmethod(lambda: [Device])

    monkeypatch.setattr(_versions, "version", lambda package: versions)
    monkeypatch.setattr(_versions, "sys", SimpleNamespace(modules={"jax": Jax}))
    if sources is not None:
        monkeypatch.setattr(_versions, "sources", lambda: sources)
        monkeypatch.setattr(_recipe, "sources", lambda: sources)


def test_every_part_says_what_it_was_made_with(tmp_path):
    run_recipe(recipe(), **options(tmp_path, seed=3))
    found = saved(tmp_path)["provenance"]
    assert found["versions"] == versions() and found["versions"]["sources"] == sources()
    assert found["versions"]["device"] == "cpu"
    assert found["seed"] == 3 and found["command"] == sys.argv
    begun, ended = (datetime.fromisoformat(found[k]) for k in ("begun", "ended"))
    assert begun <= ended and begun.utcoffset().total_seconds() == 0
    assert "earlier" not in found
    told = facts(tmp_path)
    assert told["seed"] == "3" and told["jax"] == versions()["jax"]
    assert told["device"] == "cpu" and told["sources of iclax"] == sources()
    assert Path(sys.argv[0]).name in told["command"] or "-m" in told["command"]
    assert saved(tmp_path, "verdicts")["provenance"]["a"] == found


def test_a_report_made_again_shows_the_versions_of_its_numbers(tmp_path, monkeypatch):
    run_recipe(recipe(), **options(tmp_path))
    before, part = facts(tmp_path), (tmp_path / "a.json").read_bytes()
    become(monkeypatch)
    monkeypatch.setattr(_provenance.sys, "argv", ["elsewhere"])
    monkeypatch.setattr(_facts, "now", lambda: "2050-01-02T03:04:05+00:00")
    assert versions()["jax"] == "9.9" and versions()["device"] == "gpu"
    assert run_recipe(recipe(), **options(tmp_path)).reused == ("a", "b")
    after = facts(tmp_path)
    written = after.pop("report written")
    assert written.startswith("2050-01-02 03:04:05 UTC with iclax")
    assert before.pop("report written") != written and before == after
    assert (tmp_path / "a.json").read_bytes() == part


def test_parts_that_differ_are_told_apart(tmp_path, monkeypatch):
    run_recipe(recipe("ab"), **options(tmp_path))
    own = versions()["jax"]
    become(monkeypatch, "9.9")
    run_recipe(recipe("abc"), **options(tmp_path))
    found = facts(tmp_path)
    assert found["jax"] == f"{own} (a, b), 9.9 (c)"
    assert found["device"] == "cpu (a, b), gpu (c)"
    assert found["seed"] == "0" and found["sources of iclax"] == sources()
    parts = saved(tmp_path, "verdicts")["provenance"]
    assert [p["versions"]["jax"] for p in parts.values()] == [own, own, "9.9"]


def test_what_was_not_recorded_is_not_made_up(tmp_path):
    run_recipe(recipe(), **options(tmp_path))
    told = facts(tmp_path)
    for name in "ab":
        content = saved(tmp_path, name)
        del content["provenance"]
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        run_recipe(recipe(), **options(tmp_path))
        found = facts(tmp_path)
        if name == "a":
            assert found["jax"] == f"not recorded (a), {told['jax']} (b)"
    for fact in ("computed", "command", "seed", "iclax", "sources of iclax"):
        assert found[fact] == "not recorded"
    assert "device" not in found and "jax" not in found
    (tmp_path / "a.json").write_text(json.dumps(content | {"provenance": []}))
    with pytest.raises(RunError, match="a.json is damaged .it does not say what"):
        run_recipe(recipe(), **options(tmp_path))


@pytest.mark.parametrize(
    "change, told",
    [
        ("sources", "a, b: made by other sources of iclax, computed again"),
        ("config", "a, b: made with another config (steps = 1 there, 2 here), "),
        ("old", "a, b: made before iclax recorded its sources, computed again"),
    ],
)
def test_what_is_computed_again_says_why_in_one_line(
    tmp_path, monkeypatch, change, told
):
    run_recipe(recipe(), **options(tmp_path))
    if change == "old":
        for name in "ab":
            old = {"fingerprint": "0", "config": {}, "data": {"value": -1.0}}
            (tmp_path / f"{name}.json").write_text(json.dumps(old))
    if change == "sources":
        become(monkeypatch, sources="fixed")
    said = []
    again = recipe(steps=2 if change == "config" else 1)
    outcome = run_recipe(again, **options(tmp_path, announce=said.append))
    assert outcome.reused == () and outcome.passed
    assert said[0].startswith(told) and said[1:] == ["a …", "b …"]
    assert facts(tmp_path)["sources of iclax"] == (
        "fixed" if change == "sources" else sources()
    )
    said.clear()
    again = run_recipe(again, **options(tmp_path, announce=said.append))
    assert again.reused == ("a", "b") and said == []


def trained(steps, stop=None):
    """A part that trains in its folder; the first step it computed is in its data."""

    def compute(context):
        seen = []

        def progress(step, total, metrics):
            seen.append(step)
            if stop is not None and step >= stop:
                raise KeyboardInterrupt

        train(
            lambda key: jnp.ones(2),
            lambda w, key: jnp.sum(w**2),
            steps=steps,
            optimizer=SGD(0.1),
            record_every=1,
            progress=progress,
            folder=context.folder,
        )
        return {"value": 1.0, "first": seen[0] if seen else steps + 1}

    return compute


def test_a_training_goes_on_and_says_with_what_it_was_begun(tmp_path, monkeypatch):
    own = versions()["numpy"]
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe("a", trained(50, stop=3)), **options(tmp_path))
    monkeypatch.setattr(_versions, "version", lambda package: "9.9")
    outcome = run_recipe(recipe("a", trained(50)), **options(tmp_path))
    assert outcome.data["a"]["first"] > 3
    (earlier,) = saved(tmp_path)["provenance"]["earlier"]
    assert earlier["versions"]["numpy"] == own and "ended" not in earlier
    found = facts(tmp_path)
    assert found["numpy"] == f"{own} then 9.9" and found["seed"] == "0"
    assert " UTC until stopped then 20" in found["computed"]
    (tmp_path / "a.json").unlink()  # the training is done, its data are read again
    run_recipe(recipe("a", trained(50)), **options(tmp_path))
    assert facts(tmp_path)["numpy"] == f"{own} then 9.9"
    assert len(saved(tmp_path)["provenance"]["earlier"]) == 2
    run_recipe(recipe("a", trained(50)), **options(tmp_path, force=True))
    assert facts(tmp_path)["numpy"] == "9.9"


def test_checkpoints_of_other_sources_are_not_gone_on_from(tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe("a", trained(50, stop=3)), **options(tmp_path))
    (left,) = (tmp_path / "parts").iterdir()
    monkeypatch.setattr(_recipe, "sources", lambda: "fixed")
    said = []
    fixed = recipe("a", trained(50))
    outcome = run_recipe(fixed, **options(tmp_path, announce=said.append))
    assert outcome.data["a"]["first"] == 1
    assert said[0].startswith("a: begun by other sources of iclax or with another ")
    assert f"(the checkpoints in {left} are not used)" in said[0] and len(said) == 2
    assert any(left.rglob("step-*.json"))


@pytest.mark.parametrize("name", recipe_names())
def test_the_parts_of_every_paper_follow_the_sources(name, tmp_path, monkeypatch):
    for size in ("toy", "laptop", "paper"):
        parts = load_recipe(name).parts(size, 0)
        with monkeypatch.context() as other:
            own = [_recipe._part_folder(tmp_path, p, False) for p in parts]
            other.setattr(_recipe, "sources", lambda: "fixed")
            changed = [_recipe._part_folder(tmp_path, p, False) for p in parts]
        assert parts and not set(own) & set(changed)


def test_the_folder_of_a_setting_does_not_follow_the_sources(tmp_path, monkeypatch):
    path = tmp_path / "s.toml"
    path.write_text(
        "version = 1\n[prompt]\ncontext_length = 3\n"
        '[covariates]\nkind = "gaussian"\ndim = 2\n[tasks]\nkind = "linear"\n'
    )
    setting = load_setting(path)
    own = run_folder(setting_recipe(setting, "s"), setting, None)
    monkeypatch.setattr(_recipe, "sources", lambda: "fixed")
    assert run_folder(setting_recipe(setting, "s"), setting, None) == own


def test_provenance_comes_from_the_process_that_computed(tmp_path):
    made = Recipe("r", "R", "ref", "sum", part_jobs.number_parts, report)
    outcome = run_recipe(made, **options(tmp_path, workers=2))
    assert os.getpid() not in {part["process"] for part in outcome.data.values()}
    for name in "abc":
        found = saved(tmp_path, name)["provenance"]
        assert found["command"] == sys.argv and found["seed"] == 0
        assert found["versions"].items() <= versions().items()
        assert found["versions"]["sources"] == sources() and found["ended"]
    assert facts(tmp_path)["iclax"] == iclax.__version__
    assert run_recipe(made, **options(tmp_path)).reused == ("a", "b", "c")


def test_a_command_of_any_bytes_is_recorded(tmp_path, monkeypatch):
    typed = ["/bin/iclax", "reproduce", "a b", "\udcff", "<&>"]
    monkeypatch.setattr(_provenance.sys, "argv", typed)
    run_recipe(recipe(), **options(tmp_path))
    assert saved(tmp_path)["provenance"]["command"][3] == "\\udcff"
    told = saved(tmp_path, "verdicts")["facts"]["command"]
    assert told == "iclax reproduce 'a b' '\\udcff' '<&>'"
    record = {"command": ["/x/iclax/__main__.py", "list"]}
    assert provenance_facts({"a": record})["command"] == "python -m iclax list"


def test_times_are_told_without_a_date_said_twice():
    def computed(begun, ended):
        return provenance_facts({"a": {"begun": begun, "ended": ended}})["computed"]

    first, last = "2026-01-02T23:00:00+00:00", "2026-01-02T23:00:05+00:00"
    assert computed(first, last) == "2026-01-02 23:00:00 to 23:00:05 UTC"
    next_day = "2026-01-03T01:00:00+00:00"
    long = "2026-01-02 23:00:00 to 2026-01-03 01:00:00 UTC"
    assert computed(first, next_day) == long


def test_the_digest_follows_what_can_change_a_number(tmp_path):
    package = tmp_path / "iclax"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    own = digest_sources(package)
    assert own == digest_sources(PACKAGE) and own.startswith(sources())
    for path in sorted(package.rglob("*.py")):
        text = path.read_text()
        path.write_text(text + "#")
        shows = path.relative_to(package).parts[0] in ("figures", "report", "cli")
        assert (digest_sources(package) == own) == shows, path
        path.write_text(text)
    assert digest_sources(package) == own
    (package / "notes.txt").write_text("")
    assert digest_sources(package) == own
    for path in (package / "theory" / "_new.py", package / "theory/report/_new.py"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
        assert digest_sources(package) != own
        path.unlink()


def test_the_digest_is_fast():
    def seconds():
        began = time.process_time()
        digest_sources(PACKAGE)
        return time.process_time() - began

    assert min(seconds() for _ in range(5)) < 0.02


@pytest.mark.parametrize("arguments", [[], ["--help"], ["theory"], ["theory", "-j"]])
def test_light_commands_do_not_read_the_sources(arguments, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(
        "version = 1\n[prompt]\ncontext_length = 3\n"
        '[covariates]\nkind = "gaussian"\ndim = 2\n[tasks]\nkind = "linear"\n'
    )
    if arguments[:1] == ["theory"]:
        arguments = ["theory", str(path), *["--json"] * (len(arguments) - 1)]
    code = (
        "import sys, iclax\n"
        f"arguments = {arguments!r}\n"
        "from iclax.cli import main\n"
        "try:\n    main(arguments) if arguments else None\n"
        "except SystemExit:\n    pass\n"
        "module = sys.modules.get('iclax.runs._sources')\n"
        "assert module is None or not module.sources.cache_info().currsize\n"
    )
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_opening_a_run_again_keeps_its_versions_and_seeds(tmp_path, monkeypatch):
    with open_run(tmp_path, {"a": 1}, seeds=[4]) as run:
        run.save_result({"risk": 1.0})
    own = read_run(tmp_path).details
    with open_run(tmp_path, {"a": 1}):
        pass
    assert read_run(tmp_path).details["versions"] == own["versions"]
    assert "again" not in read_run(tmp_path).details
    become(monkeypatch)
    for _ in range(2):
        with open_run(tmp_path, {"a": 1}) as run:
            assert run.result() == {"risk": 1.0}
    found = read_run(tmp_path).details
    assert found["versions"] == own["versions"] and found["seeds"] == [4]
    (again,) = found["again"]
    assert again["versions"] == versions() != own["versions"]
    with open_run(tmp_path, {"a": 1}, seeds=[5]):
        assert read_run(tmp_path).details["seeds"] == [5]
