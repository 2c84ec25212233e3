"""Gradient flow, its closed forms, saddles, and discrete descent on the exact risk."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.integrate import solve_ivp

from iclax._errors import AssumptionError, SettingError
from iclax.covariates import Gaussian, Uniform
from iclax.prompts import PromptDistribution
from iclax.tasks import Linear, LowRank, ReluNeuron
from iclax.theory import (
    Merged,
    Separate,
    flat_half_drop_time,
    flow,
    head_time,
    linear_rates,
    logistic_gain,
    optimal_preconditioner,
    optimal_risk,
    preconditioner_risk,
    prompt_moments,
    risk_from_moments,
    saddles,
)

# Half-drop times of the merged flow: d=24, r=4, n=64, σ=0, w₀=1e-4.
HALF_DROPS = {
    (1, 0): (4.7147, 4.7147),
    (2, 4): (4.7147, 2.3574),
    (2, 2): (5.4694, 2.7347),
    (2, 0): (6.6900, 3.3450),
    (4, 4): (4.7147, 1.1787),
    (4, 2): (6.0283, 1.5071),
    (4, 0): (9.4413, 2.3603),
    (6, 4): (4.7147, 0.7858),
    (6, 2): (6.2536, 1.0423),
    (6, 0): (11.5117, 1.9186),
}


def subspaces(components, shared, dim=24, rank=4, n=64):
    tasks = LowRank.coordinates(dim, rank, components, shared)
    return PromptDistribution(Gaussian(np.ones(dim)), tasks, n)


def tilted(dim=4, n=3, noise=0.5):
    """A law in which Λ, B and C share no eigenvectors."""
    tasks = LowRank.random(dim, 2, 2, seed=1, floor=0.05)
    cov = np.linspace(0.6, 1.8, dim)
    return PromptDistribution(Gaussian(cov), tasks, n, noise)


def spectrum(n=7, noise=0.4):
    """Λ = I, W diagonal with distinct eigenvalues."""
    tasks = Linear(np.diag([2.0, 1.0, 0.5]))
    return PromptDistribution(Gaussian(np.ones(3)), tasks, n, noise)


def autodiff_losses(prompts, gamma, start, times):
    """θ' = −½ ∂R by automatic differentiation and another solver, flat weights θ."""
    m = prompt_moments(prompts)
    risk = lambda theta: risk_from_moments(gamma(theta), m)
    slope = jax.jit(lambda theta: -0.5 * jax.grad(risk)(theta))
    found = solve_ivp(
        lambda _, y: np.asarray(slope(jnp.asarray(y))),
        (0, times[-1]),
        np.asarray(start, float),
        method="DOP853",
        t_eval=times,
        rtol=1e-11,
        atol=1e-15,
    )
    return [float(risk(jnp.asarray(y))) for y in found.y.T]


@pytest.mark.parametrize("objective", ["mean", "sum"])
@pytest.mark.parametrize("case", HALF_DROPS)
def test_half_drop_times_of_the_merged_flow_reproduce(case, objective):
    expected = HALF_DROPS[case][objective == "sum"]
    found = flow(subspaces(*case), objective=objective).half_drop_time
    assert found == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize("case", [(1, 0), (2, 4), (2, 0), (4, 0), (6, 0)])
def test_closed_half_drop_time_where_the_covered_directions_are_alike(case):
    prompts = subspaces(*case)
    exact = flow(prompts).half_drop_time
    assert flat_half_drop_time(prompts) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize(
    ("noise", "scale"), [(0.0, (1.0, 1.0)), (0.7, (1.0, 1.0)), (0.3, (0.5, 2.0))]
)
@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_isotropic_flow_is_logistic(noise, scale, n):
    dim, (x_scale, w_scale) = 6, scale
    prompts = PromptDistribution(
        Gaussian(x_scale * np.ones(dim)), Linear(w_scale * np.eye(dim)), n, noise
    )
    times = np.linspace(0, 12 / (x_scale**2 * w_scale), 40)
    found = flow(prompts, times=times)
    gain = logistic_gain(times, prompts)
    expected = [preconditioner_risk(g * np.eye(dim), prompts) for g in gain]
    np.testing.assert_allclose(found.losses, expected, rtol=1e-7)
    final = logistic_gain([1e4], prompts)[0]
    assert final == pytest.approx(optimal_preconditioner(prompts)[0, 0], rel=1e-9)


@pytest.mark.parametrize("law", ["tilted", "spectrum"])
def test_flows_follow_the_autodiff_gradient(law):
    prompts, times = globals()[law](), np.linspace(0, 25, 9)
    d = prompts.dim
    rng = np.random.default_rng(0)
    merged = (rng.standard_normal(2), rng.standard_normal((2, d, d)) / 10)
    separate = (
        rng.standard_normal(2),
        rng.standard_normal((2, d, 1)),
        rng.standard_normal((2, d, 1)) / 4,
    )
    cases = {
        "linear": ((np.zeros((d, d)),), lambda w: w[0], {}),
        "merged": (merged, lambda w: jnp.einsum("h,hij->ij", *w), {"heads": 2}),
        "separate": (
            separate,
            lambda w: jnp.einsum("h,hir,hjr->ij", *w),
            {"heads": 2, "rank": 1},
        ),
    }
    for name, (start, gamma, options) in cases.items():
        flat, unravel = ravel_pytree(start)
        found = flow(prompts, name, start=start, times=times, **options)
        after = lambda gamma, unravel, theta: gamma(unravel(theta))
        expected = autodiff_losses(prompts, partial(after, gamma, unravel), flat, times)
        np.testing.assert_allclose(found.losses, expected, rtol=2e-6, err_msg=name)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("linear", {}),
        ("merged", {}),
        ("merged", {"start": "random"}),
        ("merged", {"heads": 2}),
        ("separate", {"init": 0.1}),
        ("separate", {"init": 0.1, "heads": 4, "rank": 1}),
        ("separate", {"init": 0.1, "heads": 1, "rank": 2}),
    ],
)
@pytest.mark.parametrize("law", ["tilted", "spectrum"])
def test_flow_ends_at_the_least_risk_its_rank_allows(law, name, options):
    prompts = globals()[law]()
    found = flow(prompts, name, **options)
    rank = options.get("heads", 1) * (options.get("rank") or prompts.dim)
    assert found.converged
    assert found.final_risk == pytest.approx(found.minimum, rel=1e-6)
    assert found.final_risk == pytest.approx(
        preconditioner_risk(found.gamma, prompts), rel=1e-12
    )
    if rank >= prompts.dim:
        assert found.minimum == pytest.approx(optimal_risk(prompts), rel=1e-12)
        np.testing.assert_allclose(found.progress[-1], 1, atol=5e-3)
    else:
        assert found.minimum > optimal_risk(prompts) * 1.001
    assert np.all(np.diff(found.losses) <= 1e-9 * found.zero_loss)


@pytest.mark.parametrize("name", ["linear", "merged"])
def test_times_are_where_the_loss_crosses(name):
    prompts = tilted()
    found = flow(prompts, name)
    for time, level in (
        (found.half_drop_time, (found.losses[0] + found.minimum) / 2),
        (found.escape_time, 0.8 * found.zero_loss),
    ):
        at = flow(prompts, name, times=[time / 2, time]).losses
        assert at[1] == pytest.approx(level, rel=1e-8) and at[0] > level


def test_watched_losses_are_the_risks_of_the_same_weights():
    prompts, other = subspaces(2, 0, 6, 2, 5), subspaces(1, 0, 6, 2, 5)
    times = [1.0, 8.0, 12.0, 30.0]
    found = flow(prompts, times=times, watch={"own": other}).watched["own"]
    expected = [
        preconditioner_risk(flow(prompts, times=[t]).gamma, other) for t in times
    ]
    np.testing.assert_allclose(found.losses, expected, rtol=1e-9)
    at = flow(prompts, times=[found.half_drop_time, 30.0], watch={"own": other})
    curve = at.watched["own"].losses
    assert curve[0] == pytest.approx((2 + curve[1]) / 2, rel=1e-6)


def test_sum_objective_with_unequal_weights_counts_every_component_once():
    tasks = LowRank.coordinates(6, 2, 2, weights=[1, 3])
    prompts = PromptDistribution(Gaussian(np.ones(6)), tasks, 5, 0.2)
    equal = prompts.replace(tasks=LowRank.coordinates(6, 2, 2))
    found, mean = flow(prompts, objective="sum"), flow(equal)
    assert found.half_drop_time == pytest.approx(mean.half_drop_time / 2, rel=1e-6)
    assert found.losses[0] == pytest.approx(2 * mean.losses[0], rel=1e-9)
    assert found.final_risk == pytest.approx(
        preconditioner_risk(found.gamma, prompts), rel=1e-12
    )


def test_progress_of_each_direction_adds_up_to_the_loss():
    found = flow(spectrum(), "linear")
    left = found.strengths[None] * (1 - found.progress) ** 2
    np.testing.assert_allclose(
        found.losses, found.minimum + left.sum(1), rtol=1e-9, atol=1e-12
    )


def test_linear_rates_are_the_hessian_of_half_the_risk():
    prompts = tilted()
    m, d = prompt_moments(prompts), prompts.dim
    hessian = jax.hessian(lambda g: risk_from_moments(g.reshape(d, d), m) / 2)
    found = np.linalg.eigvalsh(hessian(jnp.zeros(d * d)))
    np.testing.assert_allclose(np.sort(linear_rates(prompts).ravel()), found, rtol=1e-9)
    plain, n = spectrum(), 7
    w = np.array([0.5, 1.0, 2.0])
    expected = (1 + 1 / n) * w + (3.5 + 0.16) / n
    np.testing.assert_allclose(linear_rates(plain)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_saddle_losses_of_isotropic_tasks_are_the_published_ones(n):
    spectrum = np.array([2.0, 1.0, 0.5])
    prompts = PromptDistribution(Gaussian(spectrum), Linear(np.eye(3)), n)
    trace = spectrum.sum()
    drops = spectrum / (1 + (1 + trace / spectrum) / n)
    expected = trace - np.concatenate([[0], np.cumsum(drops)])
    found = saddles(prompts)
    np.testing.assert_allclose(found.losses, expected, rtol=1e-12)
    np.testing.assert_allclose(
        found.head_limits,
        spectrum ** (-1 / 3) * (1 + (1 + trace / spectrum) / n) ** (-1 / 3),
        rtol=1e-12,
    )


@pytest.mark.parametrize("learned", [1, 2, 3])
def test_aligned_heads_rest_at_the_saddle(learned):
    prompts = spectrum()
    stairs = saddles(prompts)
    keys = stairs.directions.T[:learned, :, None] * 0.1
    start = (np.full(learned, 0.1), keys, keys)
    kind = Separate(learned, 1)
    found = flow(prompts, kind, start=start, tolerance=1e-12)
    assert found.final_risk == pytest.approx(stairs.losses[learned], rel=1e-9)
    # At the saddle itself every block of the gradient vanishes.
    limits = stairs.head_limits[:learned]
    blocks = stairs.directions.T[:learned, :, None] * limits[:, None, None]
    m = prompt_moments(prompts)
    flat, unravel = ravel_pytree((limits, blocks, blocks))
    slope = jax.jit(jax.grad(lambda t: risk_from_moments(kind.gamma(unravel(t)), m)))
    assert float(jnp.max(jnp.abs(slope(flat)))) < 1e-12


def test_small_start_visits_the_saddles_in_order():
    prompts = spectrum()
    found = flow(prompts, "separate", heads=3, rank=1, init=1e-3, seed=3)
    stairs = saddles(prompts)
    speed = -np.diff(found.losses) / np.diff(found.times)
    for loss in stairs.losses[1:-1]:
        near = np.abs(found.losses[1:] - loss) < 2e-3 * found.zero_loss
        assert near.any() and speed[near].min() < 1e-6 * speed.max()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_head_time_inverts_the_flow_of_an_aligned_head(index):
    prompts = spectrum()
    stairs = saddles(prompts)
    block = stairs.directions.T[index][None, :, None] * 0.05
    drive, decay = stairs.drives[index], stairs.decays[index]
    values = np.array([0.2, 0.5, 0.9]) * stairs.head_limits[index]
    times = head_time(values, 0.05, drive, decay)
    found = flow(
        prompts, Separate(1, 1), start=([0.05], block, block), times=times
    ).losses
    gains = values**3
    expected = prompt_moments(prompts).power - 2 * drive * gains + decay * gains**2
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_nothing_is_learned_where_the_signal_is_zero():
    from iclax.tasks import Polynomial

    prompts = PromptDistribution(Gaussian(np.ones(3)), Polynomial(3, {2: 1.0}), 5)
    for name in ("merged", "linear"):
        found = flow(prompts, name)
        assert np.isnan(found.half_drop_time) and np.isnan(found.escape_time)
        assert found.converged and found.final_risk == pytest.approx(found.zero_loss)


def test_any_law_with_moments_flows():
    for covariates, tasks in (
        (Uniform(np.array([1.0, 2.0])), Linear(np.eye(2))),
        (Gaussian(np.array([1.0, 2.0])), ReluNeuron(np.diag([1.0, 0.5]))),
    ):
        prompts = PromptDistribution(covariates, tasks, 5, 0.1)
        found, from_moments = flow(prompts), flow(prompt_moments(prompts))
        assert found.final_risk == pytest.approx(optimal_risk(prompts), rel=1e-6)
        assert from_moments.half_drop_time == found.half_drop_time


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"parametrization": "softmax"}, "parametrization"),
        ({"init": 0.0}, "init"),
        ({"objective": "max"}, "objective"),
        ({"heads": 0}, "heads"),
        ({"parametrization": "separate", "rank": 9}, "rank"),
        ({"start": "ones"}, "start"),
        ({"times": [3.0, 1.0]}, "times"),
    ],
)
def test_wrong_flow_options_are_refused_by_key(options, key):
    with pytest.raises(SettingError) as error:
        flow(spectrum(), **options)
    assert error.value.key == key


def test_closed_forms_refuse_laws_they_do_not_hold_for():
    for call in (
        lambda: logistic_gain([1.0], spectrum()),
        lambda: logistic_gain([1.0], subspaces(1, 0)),
        lambda: flat_half_drop_time(spectrum()),
        lambda: saddles(tilted()),
        lambda: flow(prompt_moments(spectrum()), objective="sum"),
    ):
        with pytest.raises(AssumptionError):
            call()


def test_merged_heads_sharing_a_start_equal_one_rescaled_head():
    prompts, times = tilted(), np.linspace(0, 20, 6)
    one = Merged(1).start(4, 1e-2, "random", 0)
    halves = (np.repeat(one[0], 4), np.repeat(one[1], 4, axis=0))
    four = flow(prompts, Merged(4), start=halves, times=times)
    # Γ = Σ v A of four equal heads is 4 v A: one head with both factors doubled.
    double = (2 * one[0], 2 * one[1])
    np.testing.assert_allclose(
        four.losses, flow(prompts, start=double, times=times).losses, rtol=1e-7
    )
