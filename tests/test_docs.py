"""The Python of the pages runs as it stands."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import pytest

from iclax.cli import main
from iclax.settings import load_setting

ROOT = Path(__file__).parents[1]


@pytest.mark.ci
@pytest.mark.parametrize("page", ["models", "training"])
def test_code_runs(page, tmp_path):
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    assert code.count("assert") >= 3
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.ci
def test_families_of_ones_own_are_run_as_the_page_says(tmp_path, capsys, monkeypatch):
    """Exact numbers, by another way too, and runs of both with figures."""
    text = (ROOT / "docs" / "families.md").read_text(encoding="utf-8")
    (module,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (sphere,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    own = 'kind = "own:Sphere"\ndim = 2\nradius = 1.5\n'
    assert own in sphere
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("iclax.experiments._setting_recipe._NUM_PROMPTS", 2**13)
    (tmp_path / "own.py").write_text(module, encoding="utf-8")
    sinusoid = 'kind = "own:Sinusoid"\nfrequency = [1.0, 0.5]\n'
    twins = {
        "sphere": (sphere, 'kind = "linear"\ncov = 1.125\n', "preconditioner"),
        "sinusoid": (sphere.replace(own, sinusoid), None, "simulation"),
    }
    for name, (stated, twin, judged) in twins.items():
        (tmp_path / f"{name}.toml").write_text(stated, encoding="utf-8")
        found = [run_json(capsys, "theory", f"{name}.toml")]
        if twin is not None:
            (tmp_path / "twin.toml").write_text(stated.replace(own, twin))
            found.append(run_json(capsys, "theory", "twin.toml"))
            assert found[0]["risk"] == pytest.approx(found[1]["risk"], rel=1e-12)
        trained = run_json(capsys, "run", f"{name}.toml", "--out", name)
        form = "plain" if name == "sphere" else "preconditioned"
        assert trained["form"] == form
        assert trained["holds"] is not False
        assert judged in [check["name"] for check in trained["checks"]]
        assert (tmp_path / name / "figures" / "preconditioners.pdf").exists()
    prompts = load_setting(tmp_path / "sinusoid.toml").prompts()
    batch = jax.vmap(prompts.sample)(jr.split(jr.key(0), 2**16))
    gamma = jnp.asarray(found[0]["gamma"])
    step = jnp.einsum("bd,de,bn,bne->b", batch.query, gamma, batch.ys, batch.xs) / 10
    errors = (step - batch.target) ** 2
    assert abs(errors.mean() - found[0]["risk"]) < 5 * errors.std() / 2**8


def run_json(capsys, *arguments):
    main([*arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def test_links_exist():
    for page in (ROOT / "docs").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (page.parent / target).exists(), (page.name, target)
