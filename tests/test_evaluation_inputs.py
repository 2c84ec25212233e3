"""Inputs that simulations and prompts refuse, by the field that is wrong."""

import jax
import jax.numpy as jnp
import jax.random as jr
import jaxtyping
import numpy as np
import pytest

from iclax._errors import SettingError
from iclax.covariates import Gaussian
from iclax.evaluation import (
    simulate_against,
    simulate_moments,
    simulate_risks,
    simulate_row_risks,
)
from iclax.predictors import Zero
from iclax.prompts import PromptDistribution
from iclax.tasks import Linear

KEY = jr.key(0)
LAW = Gaussian(np.eye(2))
TASKS = Linear(np.eye(2))
PROMPTS = PromptDistribution(LAW, TASKS, 4)
ROWS, LABELS = np.eye(6, 2), np.arange(6.0)
WRONG_COUNTS = [0, -3, 2.5, "8", True]


@pytest.fixture(autouse=True)
def as_without_type_checks(monkeypatch):
    """What a user gets, who runs without the type checks of the tests."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def row_risks(rows=ROWS, labels=LABELS, context_length=2):
    return simulate_row_risks(
        {"zero": Zero()},
        rows,
        labels,
        context_length=context_length,
        num_prompts=8,
        key=KEY,
    )


def test_rows_and_labels_go_together():
    bad = np.array([0.0, 1, 2, 3, 4, np.nan])
    for rows, labels, match in (
        (ROWS, LABELS[:-1], "labels: found shape"),
        (ROWS, LABELS[:, None], "labels: found shape"),
        (ROWS[:, 0], LABELS, "rows: found shape"),
        (ROWS, bad, "labels: found a value that is NaN"),
        (ROWS + bad[:, None], LABELS, "rows: found a value that is NaN"),
    ):
        with pytest.raises(SettingError, match=match):
            row_risks(rows, labels)


@pytest.mark.parametrize("length", [0, -1, 6])
def test_a_context_of_rows_has_some_but_not_all(length):
    with pytest.raises(SettingError, match="prompt.context_length"):
        row_risks(context_length=length)
    assert row_risks(context_length=5)["zero"].count == 8


@pytest.mark.parametrize("count", WRONG_COUNTS)
def test_counts_are_whole_numbers_from_1(count):
    for field in ("num_prompts", "batch_size"):
        options = {"num_prompts": 8, field: count}
        with pytest.raises(SettingError, match=field):
            simulate_risks({"0": Zero()}, PROMPTS, key=KEY, **options)
    with pytest.raises(SettingError, match="num_prompts"):
        simulate_against({"0": Zero()}, PROMPTS, num_prompts=count, key=KEY)
    for field in ("num_tasks", "num_points", "batch_size"):
        options = {"num_tasks": 8, field: count}
        with pytest.raises(SettingError, match=field):
            simulate_moments(TASKS, LAW, key=KEY, **options)


def test_moments_need_two_points():
    with pytest.raises(SettingError, match="num_points"):
        simulate_moments(TASKS, LAW, key=KEY, num_tasks=8, num_points=1)


def test_one_draw_has_no_standard_error():
    found = simulate_risks({"0": Zero()}, PROMPTS, num_prompts=1, key=KEY)["0"]
    assert np.isfinite(found.mean) and np.isnan(found.standard_error)
    moments = simulate_moments(TASKS, LAW, key=KEY, num_tasks=1)
    assert np.isnan(moments.power_error) and np.all(np.isnan(moments.signal_error))


def test_a_prediction_is_a_scalar():
    vector = lambda prompt: prompt.ys
    with pytest.raises(SettingError, match=r"predictors.v: .*shape \(4,\)"):
        simulate_risks({"v": vector}, PROMPTS, num_prompts=8, key=KEY)
    for given, name in (
        ({"predictors": {"v": vector}}, "predictors.v"),
        ({"others": {"w": vector}}, "others.w"),
        ({"reference": vector}, "reference"),
        ({"rival": vector}, "rival"),
    ):
        options = {"predictors": {"0": Zero()}} | given
        with pytest.raises(SettingError) as error:
            simulate_against(prompts=PROMPTS, num_prompts=8, key=KEY, **options)
        assert error.value.key == name
    with pytest.raises(SettingError, match="predictors.v"):
        simulate_row_risks(
            {"v": vector}, ROWS, LABELS, context_length=2, num_prompts=8, key=KEY
        )


def test_predictors_and_others_have_different_names():
    with pytest.raises(SettingError, match="others: found same"):
        simulate_against(
            {"same": Zero()},
            PROMPTS,
            others={"same": Zero()},
            num_prompts=8,
            key=KEY,
        )


@pytest.mark.parametrize(
    "length", [2.5, 4.0, 0, np.int64(0), True, "4", np.array([4]), jnp.array(-1), None]
)
def test_a_context_length_is_a_whole_number(length):
    with pytest.raises(SettingError, match="prompt.context_length"):
        PromptDistribution(LAW, TASKS, length)


@pytest.mark.parametrize(
    "noise",
    [-1.0, np.float32(-1), jnp.float32(-1), "0.1", np.zeros(4), np.nan, np.inf, True],
)
def test_a_noise_level_is_a_finite_number(noise):
    with pytest.raises(SettingError, match="prompt.noise_std"):
        PromptDistribution(LAW, TASKS, 4, noise)


def test_scalars_of_every_kind_and_traced_ones_pass():
    for length in (4, np.int64(4), np.array(4), jnp.array(4)):
        for noise in (0, 0.5, np.float32(0.5), np.array(0.5), jnp.bfloat16(0.5)):
            PromptDistribution(LAW, TASKS, length, noise)
    label = jax.jit(lambda s: PROMPTS.replace(noise_std=s).sample(KEY).label)
    assert label(0.5) == pytest.approx(float(label(1.0) + label(0.0)) / 2)
    with pytest.raises(SettingError, match="noise_std"):
        jax.jit(lambda s: PROMPTS.replace(noise_std=s).sample(KEY))(jnp.ones(4))
