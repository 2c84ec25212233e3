"""Several task families at once: prompts, normalizers, and the published sizes."""

from dataclasses import replace
from itertools import combinations, product

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from iclax.experiments.kim2024._families import family
from iclax.experiments.kim2024._parts import normalizers
from iclax.experiments.kim2024._plans import PLANS, neighbors
from iclax.experiments.kim2024._report import by_family, escape_ratio, mean_times
from iclax.experiments.kim2024._training import (
    assignment,
    batch_loss,
    decoder,
    draw_families,
    point_losses,
)


def test_boolean_heights_by_enumeration():
    """Every input and every subset at d = 10; to 4 digits and far beyond."""
    cube = np.array(list(product((-1, 1), repeat=10)))
    heights = {row["name"]: row["computed"] for row in normalizers()}
    for name, sizes in (("parity2", [2]), ("parity3", [3]), ("parity", range(11))):
        subsets = [list(a) for k in sizes for a in combinations(range(10), k)]
        odd = np.mean([(cube[:, a] > 0).sum(1) % 2 for a in subsets], axis=0)
        inside = odd[(odd > 0) & (odd < 1)]
        entropy = -(inside * np.log(inside) + (1 - inside) * np.log(1 - inside))
        np.testing.assert_allclose(heights[name], entropy.sum() / 1024, rtol=1e-10)
    found = {name: round(heights[name], 4) for name in ("parity2", "parity3", "parity")}
    assert found == {"parity2": 0.6814, "parity3": 0.6886, "parity": 0.6925}


def test_heights_of_squared_error_families():
    heights = {row["name"]: row["computed"] for row in normalizers()}
    known = {"linear": 10, "quadratic": 12, "sparse": 3, "tree": 1}
    for name, height in known.items():
        assert np.isclose(heights[name], height, rtol=1e-12)
    # ReLU: E relu² − E_x (E_w relu)² = d/2 − d/2π.
    assert np.isclose(heights["relu"], 5 - 5 / np.pi, rtol=1e-12)
    assert np.isclose(heights["leaky"], 5 * 1.25 - 0.25 * 5 / np.pi, rtol=1e-12)


@pytest.fixture(scope="module")
def drawn():
    names = ("linear", "parity2", "retrieval", "relu")
    laws = [family(name, 3, 8) for name in names]
    which = jnp.arange(64) % 4
    xs, ys = jax.jit(lambda key: draw_families(laws, which, 8, key))(jr.key(0))
    return laws, which, np.asarray(xs), np.asarray(ys)


def test_each_prompt_is_of_its_own_family(drawn):
    _, which, xs, ys = drawn
    for i in range(len(which)):
        x, y = xs[i], ys[i]
        if which[i] == 0:
            assert np.abs(np.linalg.lstsq(x, y)[0] @ x.T - y).max() < 1e-5
        elif which[i] == 1:
            assert set(np.unique(x)) <= {-1, 1}
            pairs = combinations(range(3), 2)
            assert any(np.array_equal(-x[:, a] * x[:, b], y) for a, b in pairs)
        elif which[i] == 2:
            same = np.flatnonzero((x[:-1] == x[-1]).all(axis=1))
            assert len(same) == 1 and y[same[0]] == y[-1]
            assert len(np.unique(x, axis=0)) == 7
        else:
            assert (y >= 0).all() and (y > 0).any()


def test_losses_are_normalized_by_hand(drawn):
    laws, which, xs, ys = drawn
    plan = replace(PLANS["toy"], num_points=8)
    model = decoder(plan, jr.key(1))
    at, labels = jnp.asarray(xs), jnp.asarray(ys)
    measure = jax.jit(lambda m: point_losses(m, laws, which, at, labels))
    losses, right = measure(model)
    blind = np.asarray(measure(jax.tree.map(jnp.zeros_like, model))[0])
    np.testing.assert_allclose(blind[0], ys[0] ** 2 / 3, rtol=1e-5)
    np.testing.assert_allclose(blind[1], np.log(2) / laws[1].height, rtol=1e-5)
    np.testing.assert_allclose(blind[2], ys[2, -1] ** 2 / laws[2].height, rtol=1e-5)
    assert losses.shape == right.shape == xs.shape[:2]


def test_batches_are_shared_equally():
    plan = replace(PLANS["toy"], batch_size=2, families=("linear", "relu", "tree"))
    assert assignment(plan, ("tree", "linear", "relu")).tolist() == [2, 0, 1, 2, 0, 1]
    assert assignment(plan, ("relu",)).tolist() == [1, 1]
    assert neighbors("abc", 2) == (("a", "b"), ("b", "c"), ("c", "a"))


def test_the_published_configuration_makes_its_first_step():
    """Traced at full size: 12 layers, width 256, d = 10, 120 points, all families."""
    plan = PLANS["paper"]
    laws = plan.laws()
    model = jax.eval_shape(lambda key: decoder(plan, key), jr.key(0))
    weights = sum(leaf.size for leaf in jax.tree.leaves(model))
    assert weights == 12 * (12 * 256**2 + 13 * 256) + 256 * (11 + 240 + 2 + 1) + 1
    which = jnp.asarray(assignment(plan, plan.families))
    gradient = jax.eval_shape(
        lambda m, key: jax.grad(
            lambda m: batch_loss(plan, laws, m, key, {"which": which})
        )(m),
        model,
        jr.key(0),
    )
    assert jax.tree.structure(gradient) == jax.tree.structure(model)
    sets = [s for group in plan.groups.values() for s in group]
    assert len(sets) == len(set(map(frozenset, sets))) == 9 * 4 + 1 + 3


def test_times_that_never_came_are_bounds():
    def trained(names, escape):
        curves = [[1.0, 0.5]] * len(escape)
        one = {"escape": escape, "completion": escape, "curves": curves}
        return {"names": names, "families": dict.fromkeys(names, one)}

    sets = [
        trained(["a"], [800.0, None]),
        trained(["b"], [100.0, 100.0]),
        trained(["a", "b"], [200.0, 200.0]),
    ]
    found = by_family(sets, 1000)
    ratio = escape_ratio(found["a"])
    np.testing.assert_allclose(ratio.value, 200 / np.sqrt(800 * 1000))
    assert escape_ratio(found["b"]).low > 1
    means = mean_times(found)
    np.testing.assert_allclose(means[1].value, (800 * 1000 * 100**2) ** 0.25)
    np.testing.assert_allclose(means[2].value, 200)
    never = by_family([*sets[:2], trained(["a", "b"], [200.0, None])], 1000)
    assert escape_ratio(never["a"]) is None
