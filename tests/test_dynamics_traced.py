"""Flows inside JAX (vmap, gradients) against the NumPy flow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iclax._errors import SettingError
from iclax.covariates import Gaussian
from iclax.prompts import PromptDistribution
from iclax.tasks import LowRank
from iclax.theory import Merged, flow, flow_losses, flow_time

BASES = LowRank.random(4, 2, 2, seed=1).bases


def law(weights=None, cov=None):
    cov = np.linspace(0.6, 1.8, 4) if cov is None else cov
    tasks = LowRank(BASES, weights, floor=0.05)
    return PromptDistribution(Gaussian(cov), tasks, 3, 0.5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("linear", {}),
        ("merged", {}),
        ("merged", {"heads": 2, "objective": "sum"}),
        ("separate", {"heads": 2, "rank": 1, "init": 0.1}),
    ],
)
def test_losses_and_times_equal_those_of_the_numpy_flow(name, options):
    exact = flow(law(), name, **options)
    times = np.array([0.0, 0.3, 1.0, 1.5]) * exact.half_drop_time
    expected = flow(law(), name, times=times, **options).losses
    found = jax.jit(lambda: flow_losses(times, law(), name, **options))()
    np.testing.assert_allclose(found, expected, rtol=2e-7)
    time = jax.jit(lambda: flow_time("half_drop", law(), name, **options))()
    assert time == pytest.approx(exact.half_drop_time, rel=1e-7)


def test_traced_moments_give_the_same_flow():
    def times(weights, cov):
        prompts = law(weights, cov)
        return flow_time("half_drop", prompts), flow_time("escape", prompts)

    weights = np.array([0.3, 0.7])
    found = jax.jit(times)(weights, np.diag(np.linspace(0.6, 1.8, 4)))
    exact = flow(law(weights))
    assert found[0] == pytest.approx(exact.half_drop_time, rel=1e-7)
    assert found[1] == pytest.approx(exact.escape_time, rel=1e-7)


@pytest.mark.parametrize("isotropic", [True, False])
def test_vmap_over_random_starts_is_one_flow_each(isotropic):
    # Λ = I: entries of equal rate are merged; else every entry is followed.
    prompts = law(cov=np.ones(4) if isotropic else None)
    maps = np.stack([Merged().start(4, 1e-3, "random", s)[1] for s in range(5)])
    one = lambda m: flow_time("half_drop", prompts, start=(jnp.full(1, 1e-3), m))
    expected = [
        flow(prompts, init=1e-3, start="random", seed=s).half_drop_time
        for s in range(5)
    ]
    np.testing.assert_allclose(jax.jit(jax.vmap(one))(maps), expected, rtol=1e-7)


def test_gradient_of_the_escape_time_in_the_mixture_weights():
    time = lambda w: flow_time("escape", law(w))
    point = jnp.array([0.3, 0.7])
    slope = jax.jit(jax.grad(time))(point)
    numeric = []
    for direction in np.eye(2):
        plus, minus = (
            flow(law(np.array(point) + e * direction)).escape_time
            for e in (1e-5, -1e-5)
        )
        numeric.append((plus - minus) / 2e-5)
    np.testing.assert_allclose(slope, numeric, rtol=1e-5)


def test_level_is_nan_where_it_is_never_reached():
    exact = flow(law())
    assert np.isnan(jax.jit(lambda: flow_time(0.9 * exact.minimum, law()))())
    with pytest.raises(SettingError):
        flow_time("quarter", law())
