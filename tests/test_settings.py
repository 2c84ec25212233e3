"""Setting files: what they state, and how they refuse."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from iclax._errors import SettingError
from iclax.settings import load_setting, parse_setting, table_keys, tables

BASE = {
    "version": 1,
    "prompt": {"context_length": 20, "noise_std": 0.5},
    "covariates": {"kind": "gaussian", "dim": 3, "cov": [1.0, 0.5, 2.0]},
    "tasks": {"kind": "linear"},
}


def changed(**tables):
    return BASE | tables


def test_inverse_covariates_is_the_inverse():
    setting = parse_setting(
        changed(tasks={"kind": "linear", "cov": "inverse_covariates"})
    )
    prompts = setting.prompts()
    product = prompts.tasks.cov @ prompts.covariates.cov
    np.testing.assert_allclose(product, np.eye(3), atol=1e-12)


def test_mixture_nests_and_weights_are_normalized():
    inner = {
        "kind": "mixture",
        "weight": 3.0,
        "components": [{"kind": "linear"}, {"kind": "relu", "slope": 0.5}],
    }
    tasks = {"kind": "mixture", "components": [{"kind": "linear", "cov": 2.0}, inner]}
    found = parse_setting(changed(tasks=tasks)).prompts().tasks
    np.testing.assert_allclose(found.weights, [0.25, 0.75])
    assert found.components[1].components[1].slope == 0.5


REFUSED = [
    ({"prompt": {"context_length": 0}}, "prompt.context_length", "0"),
    ({"prompt": {"context_length": 2.5}}, "prompt.context_length", "2.5"),
    ({"prompt": {"context_length": 5, "noise_std": -1}}, "prompt.noise_std", "-1"),
    ({"prompt": {"context_length": 5, "nois": 1}}, "prompt.nois", "unknown key"),
    ({"version": 2}, "version", "2"),
    ({"tasks": {"kind": "linaer"}}, "tasks.kind", "linaer"),
    ({"tasks": {"kind": "linear", "mean": [1.0]}}, "tasks.mean", "1 numbers"),
    ({"tasks": {"kind": "linear", "cov": [1.0, 2.0]}}, "tasks.cov", "dimension 2"),
    ({"tasks": {"kind": "linear", "cov": [1.0, 1.0, -1.0]}}, "tasks.cov", "negative"),
    ({"tasks": {"kind": "linear", "cov": "inverse"}}, "tasks.cov", "inverse"),
    ({"tasks": {"kind": "relu", "slop": 1.0}}, "tasks.slop", "unknown key"),
    ({"tasks": {"kind": "mixture", "components": []}}, "tasks.components", "[]"),
    ({"covariates": {"kind": "gaussian"}}, "covariates.dim", "nothing"),
    (
        {"covariates": {"kind": "gaussian", "cov": [[1.0, 2.0], [0.0, 1.0]]}},
        "cov",
        "sym",
    ),
    (
        {"covariates": {"kind": "data", "path": "none.csv"}},
        "covariates.path",
        "no file",
    ),
    ({"covariates": {"kind": "data", "path": "."}}, "covariates.path", "folder"),
    ({"covariates": {"kind": "gaussian", "cov": []}}, "covariates.cov", "(0, 0)"),
    ({"query": {"kind": "gaussian"}}, "query.dim", "nothing"),
    ({"query": {"kind": "gaussian", "dim": 4}}, "query", "dimension 4"),
    ({"query": {"kind": "data", "path": "none.csv"}}, "query.path", "no file"),
    ({"training": {"seeds": []}}, "training.seeds", "[]"),
    ({"training": {"learning_rate": float("nan")}}, "training.learning_rate", "nan"),
    ({"training": {"seeds": [1, 0, 0]}}, "training.seeds", "[1, 0, 0]"),
    ({"training": {"seeds": [2**32]}}, "training.seeds[0]", "4294967296"),
    ({"prompt": {"context_length": 10**20}}, "prompt.context_length", "10"),
]


@pytest.mark.parametrize("tables, key, found", REFUSED)
def test_bad_settings_name_the_key_and_what_was_found(tables, key, found):
    with pytest.raises(SettingError) as caught:
        parse_setting(changed(**tables)).prompts()
    assert caught.value.key.endswith(key)
    assert found in caught.value.found
    assert caught.value.allowed


def test_typo_gets_the_nearest_key():
    with pytest.raises(SettingError, match='did you mean "context_length"'):
        parse_setting(changed(prompt={"context_lenght": 3}))


@pytest.mark.parametrize(
    "text", ["1,2\n3,nan\n", "a,b\n1,\n2,3\n", "1,,3\n4,5,6\n", "\n1,\n2,3\n"]
)
def test_missing_values_in_data_are_located(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    setting = changed(covariates={"kind": "data", "path": "x.csv"})
    with pytest.raises(SettingError, match="row .*column 2"):
        parse_setting(setting, tmp_path).prompts()


def test_relative_paths_start_at_the_setting_file(tmp_path):
    (tmp_path / "x.csv").write_text("u,v\n1,2\n3,5\n-1,0\n")
    (tmp_path / "s.toml").write_text(
        "version = 1\n[prompt]\ncontext_length = 2\n"
        '[covariates]\nkind = "data"\npath = "x.csv"\nstandardize = true\n'
        '[tasks]\nkind = "linear"\n'
    )
    rows = load_setting(tmp_path / "s.toml").prompts().covariates.rows
    np.testing.assert_allclose(rows.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(rows.std(0), 1)


@pytest.mark.parametrize("path", ["absent.toml", "."])
def test_setting_file_must_be_a_file(path):
    with pytest.raises(SettingError, match="setting file"):
        load_setting(path)


def test_setting_file_that_cannot_be_read(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "s.toml").write_text("version = 1")
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(SettingError, match="s.toml, which cannot be read .Permission"):
        load_setting(tmp_path / "s.toml")


def test_byte_order_marks_are_skipped(tmp_path):
    (tmp_path / "x.csv").write_text("1,2\n3,5\n", encoding="utf-8-sig")
    (tmp_path / "s.toml").write_text(
        "version = 1\n[prompt]\ncontext_length = 2\n"
        '[covariates]\nkind = "data"\npath = "x.csv"\n[tasks]\nkind = "linear"\n',
        encoding="utf-8-sig",
    )
    rows = load_setting(tmp_path / "s.toml").prompts().covariates.rows
    np.testing.assert_array_equal(rows, [[1, 2], [3, 5]])


@pytest.mark.parametrize(
    "text, told",
    [("a,b\n1,2\n\n3\n", "line 4 has 1 values"), ("1,2\n3,x\n", "line 2: could not")],
)
def test_lines_of_data_at_fault_are_named(tmp_path, text, told):
    (tmp_path / "x.csv").write_text(text)
    setting = changed(covariates={"kind": "data", "path": "x.csv"})
    with pytest.raises(SettingError, match=told):
        parse_setting(setting, tmp_path).prompts()


def test_digests_follow_every_file_that_a_setting_reads(tmp_path):
    (tmp_path / "x.csv").write_text("1,2\n3,5\n")
    (tmp_path / "y.csv").write_text("1\n2\n")
    (tmp_path / "w.csv").write_text("1,1\n")
    np.save(tmp_path / "u.npy", np.eye(2)[None, :, :1])
    data = {"kind": "data", "path": "x.csv", "labels": "y.csv"}
    components = [
        {"kind": "low_rank", "rank": 1, "basis": "u.npy"},
        {"kind": "pool", "path": "w.csv"},
        {"kind": "low_rank", "rank": 1, "basis": "random"},
        {"kind": "pool", "size": 3},
    ]
    tasks = {"kind": "mixture", "components": components}
    tables = changed(covariates=data, query=data, tasks=tasks)
    setting = parse_setting(tables, tmp_path)
    setting.prompts()
    before = setting.file_digests()
    x, y = before["covariates.path"], before["covariates.labels"]
    assert x == sha256(b"1,2\n3,5\n").hexdigest()
    assert (x, y) == (before["query.path"], before["query.labels"])
    assert {"tasks.components[0].basis", "tasks.components[1].path"} < set(before)
    assert len(before) == 6
    (tmp_path / "w.csv").write_text("1,2\n")
    after = setting.file_digests()
    assert [k for k in after if after[k] != before[k]] == ["tasks.components[1].path"]
    (tmp_path / "w.csv").unlink()
    with pytest.raises(SettingError, match=r"components\[1\].path: found no file"):
        setting.file_digests()


@pytest.mark.parametrize("kind", tables())
def test_every_key_has_a_type_and_a_meaning(kind):
    _, table = tables()[kind]
    keys = {key.name: key for key in table_keys(table)}
    assert set(keys) == set(table.model_fields) - {"kind"}
    for key in keys.values():
        assert key.type and key.default and len(key.meaning) > 10, key
        field = table.model_fields[key.name]
        assert (key.default == "required") == field.is_required()


def test_keys_are_told_in_words():
    keys = {key.name: key for key in table_keys(tables()["student_t"][1])}
    assert keys["dim"].type == "whole number ≥ 1" and keys["dim"].default == "–"
    assert keys["degrees"][1:3] == ("number > 0", "required")
    assert keys["cov"].type.startswith("number or list of numbers or list of rows")


OWN = """
import jax.random as jr
import numpy as np
from iclax.covariates import Covariates
from iclax.tasks import Linear

class Cube(Covariates):
    dim, symmetric, second_moment = 3, True, np.eye(3)

    def __init__(self, dim):
        assert dim == 3

    def sample(self, key, num):
        return jr.rademacher(key, (num, 3), float)

class Half(Linear):
    def __init__(self, dim):
        super().__init__(np.eye(dim) / 2)

def not_tasks(dim):
    return dim
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    return lambda **tables: parse_setting(changed(**tables), tmp_path)


def test_classes_of_ones_own_stand_in_every_table(own):
    cube = {"kind": "own:Cube", "dim": 3}
    half = {"kind": "own:Half", "dim": 3}
    mixture = {"kind": "mixture", "components": [half | {"weight": 3.0}, TASKS]}
    prompts = own(covariates=cube, query=cube, tasks=mixture).prompts()
    assert type(prompts.covariates) is type(prompts.query_covariates)
    assert type(prompts.covariates).__name__ == "Cube"
    np.testing.assert_allclose(prompts.tasks.weights, [0.75, 0.25])
    assert type(prompts.tasks.components[0]).__name__ == "Half"
    assert set(own(tasks=half).file_digests()) == {"tasks.kind"}


TASKS = {"kind": "linear"}


@pytest.mark.parametrize(
    "tables, key, words",
    [
        ({"tasks": {"kind": "own:not_tasks", "dim": 3}}, "tasks.kind", "TaskDistr"),
        ({"tasks": {"kind": "own:Cube", "dim": 3}}, "tasks.kind", "type Cube"),
        ({"covariates": {"kind": "own:Half", "dim": 3}}, "covariates.kind", "Covar"),
        ({"query": {"kind": "own:Half", "dim": 3}}, "query.kind", "Covariates"),
        ({"tasks": {"kind": "own:Half", "dims": 3}}, "tasks", "TypeError"),
        ({"tasks": {"kind": "own:Halves"}}, "tasks.kind", "Cube, Half"),
        ({"tasks": {"kind": "own"}}, "tasks.kind", '"own"'),
        ({"tasks": {"kind": "missing:Half"}}, "tasks.kind", "no module missing"),
        ({"tasks": {"kind": "own:Half:"}}, "tasks.kind", "pattern"),
    ],
)
def test_classes_of_ones_own_are_refused_with_a_reason(own, tables, key, words):
    with pytest.raises(SettingError, match=words) as caught:
        own(**tables).prompts()
    assert caught.value.key == key
