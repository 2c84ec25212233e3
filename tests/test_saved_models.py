"""Trained models from disk: the weights that the report is about."""

import json

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from iclax import theory
from iclax._errors import RunError, SettingError
from iclax.cli import main
from iclax.experiments import load_model
from iclax.settings import load_setting
from iclax.training import Adam, Average, load_model as load_weights, train

SETTING = """
version = 1
[prompt]
context_length = 6
noise_std = 0.5
[covariates]
kind = "gaussian"
dim = 2
[tasks]
kind = "linear"
[training]
steps = 40
batch_size = 16
seeds = [3, 5]
average_last = {average}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folders of a run with an average, and of one without."""
    root = tmp_path_factory.mktemp("runs")
    patch = pytest.MonkeyPatch()
    patch.setattr("iclax.experiments._setting_recipe._NUM_PROMPTS", 2**10)
    for name, average in (("averaged", 0.5), ("plain", 0.0)):
        path = root / f"{name}.toml"
        path.write_text(SETTING.format(average=average))
        main(["run", str(path), "--out", str(root / name)])
    patch.undo()
    return root


@pytest.mark.ci
def test_the_loaded_layer_has_the_risk_of_the_report(runs, capsys):
    main(
        ["run", str(runs / "averaged.toml"), "--out", str(runs / "averaged"), "--json"]
    )
    saved = json.loads(capsys.readouterr().out)["seeds"]
    prompts = load_setting(runs / "averaged.toml").prompts()
    for seed, row in zip((3, 5), saved, strict=True):
        model = load_model(runs / "averaged", seed)
        assert theory.risk(model, prompts) == pytest.approx(row["exact_risk"])
        last = load_model(runs / "averaged", seed, last=True)
        assert theory.risk(last, prompts) != pytest.approx(row["exact_risk"])
    first = load_model(runs / "averaged")
    assert jax.tree.all(
        jax.tree.map(jnp.array_equal, first, load_model(runs / "averaged", 3))
    )


@pytest.mark.ci
def test_without_an_average_the_last_weights_are_the_weights(runs):
    one, two = (load_model(runs / "plain", 5, last=last) for last in (False, True))
    assert jax.tree.all(jax.tree.map(jnp.array_equal, one, two))


@pytest.mark.ci
@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"seed": 4}, SettingError, "seed: found 4; allowed: 3, 5"),
        ({"part": "theorem1"}, SettingError, "allowed: comparison"),
    ],
)
def test_what_is_not_there_is_named(runs, options, error, words):
    with pytest.raises(error, match=words):
        load_model(runs / "averaged", **options)
    with pytest.raises(RunError, match="no run"):
        load_model(runs, 3)


def test_a_training_folder_gives_its_averaged_model_back(tmp_path):
    init = lambda key: {"w": jr.normal(key, (3,))}
    loss = lambda model, key: jnp.sum((model["w"] - jr.normal(key, (3,))) ** 2)
    options = {"steps": 30, "seeds": [0, 1], "optimizer": Adam(0.1)}
    result = train(init, loss, average=Average(0.5), folder=tmp_path, **options)
    found = load_weights(tmp_path, init(jr.key(9)), run=1)
    np.testing.assert_array_equal(found["w"], result.averaged["w"][1])
    last = load_weights(tmp_path, init(jr.key(9)), run=1, last=True)
    np.testing.assert_array_equal(last["w"], result.model["w"][1])
    with pytest.raises(SettingError, match="0..1"):
        load_weights(tmp_path, init(jr.key(9)), run=2)
    with pytest.raises(RunError, match="another model"):
        load_weights(tmp_path, {"w": jnp.zeros(4)})
    with pytest.raises(RunError, match="no finished training"):
        load_weights(tmp_path / "none", init(jr.key(9)))
