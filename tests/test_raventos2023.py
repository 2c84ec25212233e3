"""Finite pools: tasks, paths, distances against known predictors, the crossing."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from iclax.experiments.raventos2023._evaluation import measure, test_tasks as tasks_of
from iclax.experiments.raventos2023._parts import PLANS, part_name
from iclax.experiments.raventos2023._report import bulge, crossing_exponent, report
from iclax.experiments.raventos2023._training import (
    batch_loss,
    decoder,
    draw_prompts,
    pool_tasks,
)
from iclax.predictors import Ridge
from iclax.report import sections_text

PLAN = replace(PLANS["toy"], test_prompts=4096, dim=2, num_points=3)


def test_smaller_pools_begin_larger_ones():
    large = pool_tasks(3, jnp.arange(512), 2)
    np.testing.assert_array_equal(large[:8], pool_tasks(3, jnp.arange(8), 2))
    assert not np.allclose(large[:8], pool_tasks(4, jnp.arange(8), 2))
    assert abs(np.cov(np.asarray(large).T) - np.eye(2)).max() < 0.15


def test_paths_lead_from_task_to_task():
    pool = np.array([[2.0, 0.0], [0.0, 1.0]])
    plan = replace(PLAN, pairs=1, path_points=3, path_prompts=1)
    path = np.asarray(tasks_of(plan, jnp.asarray(pool), jr.key(0))["path"])
    ends = {tuple(np.round(w, 6)) for w in path[[0, 2]]}
    assert ends == {(1.5, 0.0), (0.0, 1.5)}  # directions of the two, the mean length
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 1.5, rtol=1e-6)
    np.testing.assert_allclose(path[1, 0] / path[1, 1], 2.0, rtol=1e-6)


class Known(eqx.Module):
    """A predictor in the place of the decoder."""

    inner: Any

    def batch_prefixes(self, prompts):
        return jax.vmap(self.inner.prefixes)(prompts)


def test_ridge_is_at_no_distance_from_itself():
    pool = pool_tasks(0, jnp.arange(2), 2)
    found = measure(PLAN, Known(Ridge(PLAN.noise_variance)), pool, jr.key(1))
    for law in ("pretraining", "new"):
        assert found["distances"][law]["ridge"] < 1e-9
        assert found["distances"][law]["dmmse"] > 0.01
        risks = found["risks"][law]
        np.testing.assert_allclose(risks["transformer"], risks["ridge"], rtol=1e-5)
    assert found["risks"]["pretraining"]["dmmse"] < found["risks"]["new"]["dmmse"]
    # At the first point ridge predicts 0; at the second it knows one example:
    # E|w|² − E[|x|²/(|x|² + σ²)], with |x|² exponential of mean 2.
    weights = jr.normal(jr.key(2), (40_000, 2))
    prompts, targets, _ = draw_prompts(PLAN, weights, jr.key(3))
    errors = (jax.vmap(Ridge(0.25).prefixes)(prompts) - targets) ** 2
    squares = np.random.default_rng(0).exponential(2.0, 10**6)
    expected = [2.0, 2.0 - np.mean(squares / (squares + 0.25))]
    np.testing.assert_allclose(np.mean(errors, axis=0)[:2], expected, rtol=0.05)


def test_between_two_tasks_dmmse_fails_and_ridge_does_not():
    # Half-way between (2, 0) and (0, 2), where the posterior favors neither, their mean
    # (1, 1) is 2 − 2^½ away from the truth (2^½, 2^½).
    plan = replace(PLAN, pairs=1, path_points=3, path_prompts=4000)
    pool = jnp.array([[2.0, 0.0], [0.0, 2.0]])
    found = measure(plan, Known(Ridge(plan.noise_variance)), pool, jr.key(4))
    (ridge,) = bulge([found], "ridge")
    (dmmse,) = bulge([found], "dmmse")
    np.testing.assert_allclose(ridge, 1.0, atol=0.05)
    assert dmmse > 1.2
    assert bulge([found], "transformer") == bulge([found], "ridge")


def test_the_crossing_is_interpolated():
    def run(ratio):
        return {"distances": {"new": {"dmmse": ratio, "ridge": 1.0}}}

    pools = {2: [run(np.exp(-1.0))] * 3, 4: [run(np.exp(3.0))] * 3}
    assert np.isclose(crossing_exponent(pools).value, 2.5)
    assert crossing_exponent({**pools, 4: [run(0.5)] * 3}) is None


def test_the_published_configuration_makes_its_first_step():
    """Traced at full size: 8 layers, width 128, pools up to 2²⁰."""
    plan = PLANS["paper"]
    assert plan.exponents == list(range(2, 21))
    model = jax.eval_shape(lambda key: decoder(plan, key), jr.key(0))
    weights = sum(leaf.size for leaf in jax.tree.leaves(model))
    assert weights == 8 * (12 * 128**2 + 13 * 128) + 128 * (9 + 32 + 2 + 1)
    gradient = jax.eval_shape(
        lambda m, key: jax.grad(
            lambda m: batch_loss(plan, m, key, {"size": 2**20, "pool": 0})
        )(m),
        model,
        jr.key(0),
    )
    assert jax.tree.structure(gradient) == jax.tree.structure(model)


def near_a_predictor(name, seeds):
    """What is saved of a transformer that follows `name`."""
    near = {"dmmse": 1.0, "ridge": 1.0, name: 0.1}
    risks = {"transformer": 0.5, "dmmse": 0.5, "ridge": 0.5}
    path = [0.5, 0.6 if name == "dmmse" else 0.4, 0.5]
    run = {
        "distances": {"pretraining": near, "new": near},
        "risks": {"pretraining": risks, "new": risks},
        "path": dict.fromkeys(risks, path),
    }
    return [run] * seeds


def shown(seeds, size):
    """Tables, verdicts and text of a crossing between the smallest and largest pool."""
    plan = PLANS[size]
    first, *_, last = plan.exponents
    middle = (first + last) / 2
    data = {
        part_name(group): {
            "pools": {
                str(e): near_a_predictor("dmmse" if e < middle else "ridge", seeds)
                for e in group
            }
        }
        for group in plan.groups
    }
    (section,) = report(data, size)
    text = sections_text([section]) + "".join(section.paragraphs)
    return section, text


def test_one_seed_has_no_interval_and_decides_nothing():
    section, text = shown(1, "toy")
    assert "[" not in text and "95 %" not in text
    risks, distances, paths = section.tables
    assert risks.rows[0]["dMMSE, new"] == "0.500 (1 run, no interval)"
    assert {row["closer to"] for row in distances.rows} == {"not decided"}
    column = "half-way the transformer"
    assert {row[column] for row in paths.rows} == {"not decided"}


def test_several_seeds_are_judged_and_one_is_not():
    section, text = shown(3, "laptop")
    assert section.passed and "0.500 [0.500, 0.500]" in text and "95 %" in text
    closer = [row["closer to"] for row in section.tables[1].rows]
    assert closer[0] == "dMMSE" and closer[-1] == "ridge"
    section, text = shown(1, "laptop")
    assert section.passed is None and "2^1 not decided" in text
