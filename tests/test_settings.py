"""Setting files: what they state, and how they refuse."""

import numpy as np
import pytest

from iclax._errors import SettingError
from iclax.settings import load_setting, parse_setting

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
