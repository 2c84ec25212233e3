"""`iclax run` with every kind of model, and a class of the user's own."""

import json

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from iclax._errors import SettingError
from iclax.cli import main
from iclax.experiments import load_model
from iclax.experiments._models import model_builder
from iclax.prompts import Prompt
from iclax.settings import parse_setting

BASE = {
    "version": 1,
    "prompt": {"context_length": 4, "noise_std": 0.3},
    "covariates": {"kind": "gaussian", "dim": 2},
    "tasks": {"kind": "linear"},
    "training": {"steps": 300, "batch_size": 64, "seeds": [0, 7]},
}
OWN = """
import equinox as eqx
import jax.numpy as jnp

class Net(eqx.Module):
    mlp: eqx.nn.MLP
    steps: jnp.ndarray

    def __init__(self, dim, width, *, key):
        self.mlp = eqx.nn.MLP(2 * dim, "scalar", width, 1, key=key)
        self.steps = jnp.arange(3)  # no weights

    def __call__(self, prompt):
        b = prompt.ys @ prompt.xs / len(prompt.ys)
        return self.mlp(jnp.concatenate([b, prompt.query]))

class Wide(Net):
    def __call__(self, prompt):
        return prompt.query

class Short(Net):
    def __call__(self, prompt):
        return jnp.linalg.cholesky(prompt.query)
"""
MODELS = {
    "softmax stack": {"kind": "attention_stack", "attention": "softmax"},
    "looped stack": {"kind": "attention_stack", "layers": 3, "looped": True},
    "one linear layer": {"kind": "attention_stack", "layers": 1},
    "gpt": {"kind": "gpt", "layers": 1, "heads": 2, "width": 8, "mlp": 1},
    "own": {"kind": "net:Net", "dim": 2, "width": 8},
}


def toml(tables):
    lines = [f"version = {tables['version']}"]
    for name, table in tables.items():
        if name != "version":
            lines += [
                f"[{name}]",
                *(f"{k} = {json.dumps(v)}" for k, v in table.items()),
            ]
    return "\n".join(lines)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("iclax.experiments._setting_recipe._NUM_PROMPTS", 2**13)
    (tmp_path / "net.py").write_text(OWN)
    return tmp_path


@pytest.mark.ci
@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_trained_and_measured(name, folder, capsys):
    training = BASE["training"] | ({"objective": "all"} if name == "gpt" else {})
    tables = BASE | {"model": MODELS[name], "training": training}
    (folder / "s.toml").write_text(toml(tables))
    main(["run", "s.toml", "--json", "--out", "kept"])
    found = json.loads(capsys.readouterr().out)
    assert found["holds"] is None and "not judged" in found["verdict"]
    assert [seed["seed"] for seed in found["seeds"]] == [0, 7]
    bayes = found["references"]["bayes"]
    assert bayes["exact"] and found["risk"] > bayes["mean"]
    for seed in found["seeds"]:
        error = seed["trained_risk_se"]
        assert error > 0
        assert seed["trained_risk"] > bayes["mean"] - 4 * error
        known = name == "one linear layer"
        assert (seed["exact_risk"] is not None) == known
        if known and not seed["heavy_tailed"]:
            assert abs(seed["exact_risk"] - seed["trained_risk"]) < 4 * error
    for file in ("report.html", "table.md", "figures/learning_curves.pdf"):
        assert (folder / "kept" / file).stat().st_size > 0
    model = load_model(folder / "kept", 7, base=folder)
    prompts = parse_setting(tables, folder).prompts()
    batch = jax.vmap(prompts.sample)(jr.split(jr.key(3), 4096))
    errors = np.asarray((jax.vmap(model)(batch) - batch.target) ** 2)
    row, own = found["seeds"][1], errors.std() / 64
    gap = abs(errors.mean() - row["trained_risk"])
    assert gap < 5 * np.hypot(own, row["trained_risk_se"])


@pytest.mark.parametrize(
    "model, words",
    [
        ({"kind": "net:Wide", "dim": 2, "width": 8}, r"shape \(2,\) by net:Wide"),
        ({"kind": "net:Short", "dim": 2, "width": 8}, "on one prompt, which raised"),
        ({"kind": "net:Nett", "dim": 2}, "allowed: Net, Wide, Short"),
        ({"kind": "net:Net", "dim": 2, "widht": 8}, "widht"),
        ({"kind": "no_such:Net"}, "no module no_such"),
        ({"kind": "gpt", "width": 9, "heads": 2}, "width 9"),
        ({"kind": "gptt"}, '"gptt"; allowed: "linear_attention", "attention_stack"'),
        ({"kind": "attention_stack", "layer": 2}, 'did you mean "layers"'),
        ({"kind": "attention_stack", "key_dim": 2}, "key_dim"),
    ],
)
def test_models_that_cannot_be_made_are_refused(model, words, folder):
    with pytest.raises(SettingError, match=words):
        setting = parse_setting(BASE | {"model": model}, folder)
        model_builder(setting, setting.prompts())


def test_a_changed_module_is_another_run(folder):
    setting = parse_setting(BASE | {"model": MODELS["own"]}, folder)
    before = setting.file_digests()
    (folder / "net.py").write_text(OWN + "\n# changed")
    assert before.keys() == {"model.kind"} and setting.file_digests() != before


def test_a_module_beside_the_setting_comes_first(folder):
    """Before an installed one of the same name, and without hiding it from others."""
    (folder / "json.py").write_text(OWN)
    model = MODELS["own"] | {"kind": "json:Net"}
    setting = parse_setting(BASE | {"model": model}, folder)
    net = model_builder(setting, setting.prompts())(jr.key(0))
    one = Prompt(jnp.ones((4, 2)), jnp.ones(4), jnp.ones(2), 1.0, 1.0)
    assert net(one).shape == ()
    import json as installed

    assert installed.dumps({}) == "{}"


def test_one_layer_is_not_trained_on_an_objective_that_it_would_ignore():
    training = BASE["training"] | {"objective": "all"}
    setting = parse_setting(BASE | {"training": training})
    with pytest.raises(SettingError, match='"query" for linear_attention'):
        model_builder(setting, setting.prompts())


def test_a_key_named_weight_belongs_to_the_class(folder):
    model = MODELS["own"] | {"weight": 2.0}
    setting = parse_setting(BASE | {"model": model}, folder)
    with pytest.raises(SettingError, match="weight"):
        model_builder(setting, setting.prompts())
