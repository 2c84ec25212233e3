"""`iclax run` on every kind of task with every kind of covariates: a whole run of each.

No traceback, no verdict that theory or the run itself contradicts.
"""

import json
import math

import pytest

from iclax.cli import main
from iclax.settings._covariates import COVARIATE_TABLES
from iclax.settings._tasks import TASK_TABLES

TASKS = {
    "linear": {"mean": [0.5, 0.0]},
    "relu": {"slope": 0.5},
    "two_layer_relu": {"width": 3},
    "gaussian_process": {"length_scale": 1.5},
    "polynomial": {"coefficients": {"1": 1.0, "3": 0.05}},
    "mixture": {"components": [{"kind": "linear"}, {"kind": "relu"}]},
    "low_rank": {"rank": 1, "components": 2},
    "sparse_linear": {"nonzeros": 1},
    "pool": {"size": 3},
    "fourier_features": {"features": 3, "length_scale": 1.5},
    "quadratic": {"mean": 0.3},
    "decision_tree": {"depth": 2},
    "sparse_parity": {"size": 1},
    "conjunction": {},
    "disjunction": {},
}
COVARIATES = {
    "gaussian": {"dim": 2, "cov": [1.0, 0.5]},
    "uniform": {"dim": 2},
    "rademacher": {"dim": 2},
    "student_t": {"dim": 2, "degrees": 9.0},
    "data": {"path": "data.csv", "standardize": True},
}


def kinds(tables):
    return {table.model_fields["kind"].annotation.__args__[0] for table in tables}


def test_every_kind_is_here():
    assert set(TASKS) == kinds(TASK_TABLES)
    assert set(COVARIATES) == kinds(COVARIATE_TABLES)


def written(value):
    """A TOML value."""
    if isinstance(value, dict):
        pairs = (f"{json.dumps(k)} = {written(v)}" for k, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value)


def setting(task, covariate):
    tables = {
        "prompt": {"context_length": 4, "noise_std": 0.3},
        "covariates": {"kind": covariate, **COVARIATES[covariate]},
        "tasks": {"kind": task, **TASKS[task]},
        "training": {"steps": 500, "batch_size": 64, "learning_rate": 2e-2},
    }
    lines = ["version = 1"]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{k} = {written(v)}" for k, v in table.items())]
    return "\n".join([*lines, "seeds = [0]", ""])


def data():
    turns = [(math.sin(3 * i), math.cos(7 * i + 1)) for i in range(12)]
    return "\n".join(["a,b", *(f"{a},{a + b}" for a, b in turns)])


@pytest.mark.ci
@pytest.mark.parametrize("covariate", COVARIATES)
@pytest.mark.parametrize("task", TASKS)
def test_run(task, covariate, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("iclax.experiments._setting_recipe._NUM_PROMPTS", 2**13)
    (tmp_path / "data.csv").write_text(data())
    (tmp_path / "s.toml").write_text(setting(task, covariate))
    main(["run", "s.toml", "--json"])
    found = json.loads(capsys.readouterr().out)
    check_optima(found)
    if found["form"] == "unknown":
        assert found["holds"] is None and not found["checks"]
        return
    (layer,), passed = found["seeds"], {c["name"]: c["passed"] for c in found["checks"]}
    least = found["layer_risk"] or found["risk"]
    rounding = 1e-5 * found["zero_risk"]
    if layer["exact_risk"] is not None and found["form"] != "gd_form_only":
        assert layer["exact_risk"] >= least - rounding, "better than the exact minimum"
    assert passed["simulation"] is not False
    if found["holds"] is False:
        assert layer["trapped"], found["verdict"]
    if found["holds"]:
        assert layer["exact_risk"] <= 1.01 * least + rounding


def check_optima(found):
    """What is claimed of the best layer is what the two exact optima say."""
    gd, layer, size = (found.get(key) for key in ("risk", "layer_risk", "zero_risk"))
    if found["form"] in ("plain", "preconditioned"):
        assert layer == pytest.approx(gd, abs=1e-8 * size)
    if found["form"] == "full":
        assert layer < gd
    assert (found["form"] == "unknown") == (gd is None)
    for check in found["checks"]:
        if check["name"].startswith("beats") and check["passed"] is not None:
            assert max(found["gd_risk"], gd) > layer
