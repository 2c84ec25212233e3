"""Low-rank mixtures, their geometry and the risks on them."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import simulated
from helpers import QUICK

from iclax._errors import AssumptionError, SettingError
from iclax.covariates import Gaussian, Uniform
from iclax.prompts import PromptDistribution
from iclax.tasks import Linear, LowRank, principal_angles
from iclax.theory import (
    adapter_rank,
    adapter_risks,
    adapter_update,
    angle_risks,
    context_length_risks,
    moments,
    off_span_risk,
    optimal_preconditioner,
    optimal_risk,
    orthogonal_basis,
    preconditioner_risk,
    single_subspace_risk,
    task_risk,
    union_risk,
)

LAWS = {
    "one": LowRank.coordinates(5, 2),
    "shared": LowRank.coordinates(7, 3, components=2, shared_columns=1),
    "weighted": LowRank.coordinates(6, 2, components=3, weights=[1, 2, 5]),
    "random": LowRank.random(6, 3, components=3, shared_columns=1, seed=3, floor=0.1),
}


@pytest.mark.parametrize("name", LAWS)
def test_weights_sampled_have_the_stated_second_moment(name, getkey):
    tasks, num = LAWS[name], 40_000
    draw = jax.jit(jax.vmap(tasks.sample_weights), compiler_options=QUICK)
    w = np.asarray(draw(jr.split(getkey(), num)))
    products = w[:, :, None] * w[:, None, :]
    error = products.std(0) / num**0.5
    deviation = np.abs(products.mean(0) - tasks.weight_second_moment)
    assert np.all(deviation <= 4.5 * error + 1e-12)


@pytest.mark.parametrize("name", LAWS)
def test_moments_equal_those_of_the_mixture_of_linear_tasks(name):
    tasks = LAWS[name]
    law = Gaussian(np.linspace(0.5, 2, tasks.dim))
    direct, mixed = moments(tasks, law), moments(tasks.as_mixture(), law)
    np.testing.assert_allclose(direct.signal, mixed.signal, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(direct.energy, mixed.energy, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(direct.power, mixed.power, rtol=1e-12)


def test_coordinate_bases_are_the_documented_unit_vectors():
    tasks = LowRank.coordinates(8, 3, components=2, shared_columns=1)
    eye = np.eye(8)
    np.testing.assert_array_equal(tasks.bases[0], eye[:, [0, 1, 2]])
    np.testing.assert_array_equal(tasks.bases[1], eye[:, [0, 3, 4]])


@pytest.mark.parametrize("components", [2, 3, 4])
@pytest.mark.parametrize("shared", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", ["coordinates", "random"])
def test_diversity_counts_the_columns_that_do_not_overlap(components, shared, kind):
    build = getattr(LowRank, kind)
    tasks = build(12, 3, components=components, shared_columns=shared)
    expected = components * (3 - shared) if shared < 3 else 0
    assert tasks.diversity == expected


def test_effective_rank_of_equal_columns_is_their_number():
    assert LowRank.coordinates(9, 2, components=3).effective_rank == pytest.approx(6)


@pytest.mark.parametrize("degrees", [0.0, 1e-6, 30.0, 89.999999, 90.0])
def test_principal_angle_of_a_rotated_plane_is_the_rotation(degrees):
    t = np.radians(degrees)
    eye = np.eye(5)
    turned = np.stack([eye[0], np.cos(t) * eye[1] + np.sin(t) * eye[3]], 1)
    np.testing.assert_allclose(
        principal_angles(eye[:, :2], turned), [0, degrees], atol=1e-9
    )


def test_angles_are_those_of_the_components():
    tasks = LowRank.coordinates(8, 3, components=2, shared_columns=1)
    np.testing.assert_allclose(tasks.principal_angles(), [0, 90, 90], atol=1e-9)


def test_weights_may_be_traced():
    bases = LAWS["weighted"].bases

    def trace(weights):
        return jnp.trace(LowRank(bases, weights).weight_second_moment[:2, :2])

    slope = jax.grad(trace)(jnp.ones(3))
    np.testing.assert_allclose(slope, 2 * np.array([2, -1, -1]) / 9, rtol=1e-12)


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: LowRank.coordinates(4, 3, components=2), "tasks"),
        (lambda: LowRank.coordinates(4, 5), "tasks.rank"),
        (lambda: LowRank.coordinates(4, 2, components=0), "tasks.components"),
        (lambda: LowRank.coordinates(4, 2, shared_columns=3), "tasks.shared_columns"),
        (lambda: LowRank(np.ones((1, 3, 2))), "tasks.basis"),
        (lambda: LowRank(np.eye(3)[None, :, :2], floor=-1.0), "tasks.floor"),
        (lambda: LowRank(np.eye(3)[None, :, :2], [1.0, 1.0]), "tasks.weights"),
    ],
)
def test_wrong_subspaces_are_refused_by_key(build, key):
    with pytest.raises(SettingError) as error:
        build()
    assert error.value.key == key


def prompts_on(tasks, n=4, noise=0.5, cov=None):
    cov = np.linspace(0.5, 2, tasks.dim) if cov is None else cov
    return PromptDistribution(Gaussian(cov), tasks, n, noise)


def rotated(tasks, degrees):
    """The test law V(θ), orthonormalized by QR."""
    t = np.radians(degrees)
    v = np.cos(t) * tasks.bases[0] + np.sin(t) * tasks.bases[1]
    return LowRank(np.linalg.qr(v)[0])


PAPER = {"dim": 20, "rank": 3}
ISOTROPIC = np.ones(20)


def test_angle_risks_of_one_subspace_and_of_a_union_reproduce():
    noise = 0.1**0.5
    one = prompts_on(LowRank.coordinates(**PAPER), 40, noise, ISOTROPIC)
    union = one.replace(tasks=LowRank.coordinates(**PAPER, components=2))
    angles = [0, 30, 45, 60, 90]
    expected = [0.3789, 1.1070, 1.8351, 2.5632, 3.2913]
    np.testing.assert_allclose(angle_risks(one, angles) + 0.1, expected, atol=5e-5)
    np.testing.assert_allclose(angle_risks(union, angles) + 0.1, 0.5576, atol=5e-5)


@pytest.mark.parametrize("n", [1, 2, 5, 20])
@pytest.mark.parametrize("name", ["shared", "random"])
def test_angle_risk_is_the_risk_of_the_training_optimum_there(name, n):
    prompts, angle = prompts_on(LAWS[name], n), 40.0
    gamma = optimal_preconditioner(prompts)
    test = prompts.replace(tasks=rotated(prompts.tasks, angle))
    found = angle_risks(prompts, [0.0, angle])[1]
    assert found == pytest.approx(preconditioner_risk(gamma, test), rel=1e-10)
    draw = simulated.low_rank_tasks(test.tasks.bases[0])
    cov = np.linspace(0.5, 2, prompts.dim)
    mean, error = simulated.gd_risk(gamma, draw, cov, n, 0.5, seed=n)
    assert abs(mean - found) < 3 * error


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_task_risk_is_the_risk_on_each_task(n):
    tasks = LAWS["random"]
    gamma = np.random.default_rng(0).standard_normal((6, 6))
    w = np.linspace(-1, 2, 6)
    prompts = PromptDistribution(
        Uniform(np.linspace(1, 2, 6)),
        tasks,
        n,
        0.3,
        query_covariates=Gaussian(np.linspace(2, 1, 6)),
    )
    one_task = prompts.replace(tasks=Linear(np.zeros((6, 6)), w))
    risk = task_risk(gamma, prompts)
    assert risk.mean(np.outer(w, w)) == pytest.approx(
        preconditioner_risk(gamma, one_task), rel=1e-12
    )
    units = np.random.default_rng(1).standard_normal((500, 6))
    units /= np.linalg.norm(units, axis=1)[:, None]
    values = np.einsum("md,de,me->m", units, risk.matrix, units) + risk.offset
    assert values.max() <= risk.worst() and values.max() > 0.8 * risk.worst()


@pytest.mark.parametrize("angles", [(0.0, 0.0), (20.0, 70.0), (90.0, 90.0)])
@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_single_subspace_closed_form(angles, n):
    tasks = LowRank.coordinates(5, 2)
    prompts = prompts_on(tasks, n, 0.5, np.ones(5))
    t = np.radians(angles)
    eye = np.eye(5)
    v = np.cos(t) * eye[:, :2] + np.sin(t) * eye[:, 2:4]
    exact = preconditioner_risk(
        optimal_preconditioner(prompts), prompts.replace(tasks=LowRank(v))
    )
    assert single_subspace_risk(angles, n, 0.5) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("components", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_union_closed_form_at_any_angle(components, n):
    tasks = LowRank.coordinates(7, 2, components)
    prompts = prompts_on(tasks, n, 0.5, np.ones(7))
    expected = union_risk(components, 2, n, 0.5)
    assert optimal_risk(prompts) == pytest.approx(expected, rel=1e-12)
    if components > 1:
        np.testing.assert_allclose(angle_risks(prompts, [0, 33, 90]), expected)


@pytest.mark.parametrize("retrained", [False, True])
@pytest.mark.parametrize("name", ["one", "shared", "random"])
def test_context_length_risks_equal_one_evaluation_each(name, retrained):
    prompts = prompts_on(LAWS[name])
    gamma = optimal_preconditioner(prompts)

    def risk(n):
        law = prompts.replace(context_length=n)
        return optimal_risk(law) if retrained else preconditioner_risk(gamma, law)

    lengths = [1, 2, 5, 20, 1000]
    np.testing.assert_allclose(
        context_length_risks(prompts, lengths, retrained),
        [risk(n) for n in lengths],
        rtol=1e-11,
    )


def test_off_span_tasks_are_lost():
    prompts = prompts_on(LAWS["one"], cov=np.ones(5))
    outside = np.diag([0, 0, 1, 1, 1]) * 2 / 3
    test = prompts.replace(tasks=Linear(outside))
    gamma = optimal_preconditioner(prompts)
    found = off_span_risk(prompts)
    assert found == pytest.approx(preconditioner_risk(gamma, test), rel=1e-12)
    assert found > 2
    draw = simulated.low_rank_tasks(np.eye(5)[:, 2:] * (2 / 3) ** 0.5)
    mean, error = simulated.gd_risk(gamma, draw, np.ones(5), 4, 0.5, seed=0)
    assert abs(mean - found) < 3 * error
    with pytest.raises(AssumptionError):
        off_span_risk(prompts_on(LowRank.coordinates(4, 2, 2)))


def test_orthogonal_basis_of_unit_vectors_is_the_next_unit_vectors():
    eye = np.eye(6)
    np.testing.assert_allclose(orthogonal_basis(eye[:, :3]), eye[:, 3:], atol=1e-15)
    basis = LAWS["random"].bases[1]
    other = orthogonal_basis(basis)
    np.testing.assert_allclose(basis.T @ other, 0, atol=1e-14)
    np.testing.assert_allclose(other.T @ other, np.eye(3), atol=1e-14)
    with pytest.raises(AssumptionError):
        orthogonal_basis(eye[:, :4])


@pytest.mark.parametrize("degrees", [(0, 25), (10, 80), (0, 0), (90, 90)])
def test_adapter_of_the_needed_rank_is_exactly_enough(degrees):
    t, eye = np.radians(degrees), np.eye(6)
    second = np.cos(t) * eye[:, :2] + np.sin(t) * eye[:, 2:4]
    prompts = prompts_on(LowRank(eye[:, :2]), cov=np.ones(6))
    target = prompts.replace(tasks=LowRank(second))
    risks = adapter_risks(optimal_preconditioner(prompts), target)
    rank = adapter_rank(eye[:, :2], second)
    assert rank == 2 * np.count_nonzero(degrees)
    assert risks[rank] == pytest.approx(optimal_risk(target), rel=1e-10)
    if rank:
        assert risks[rank - 1] > optimal_risk(target) * (1 + 1e-3)


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_no_update_of_the_same_rank_beats_the_adapter(rank):
    prompts, target = prompts_on(LAWS["random"]), prompts_on(LAWS["random"], n=2)
    target = target.replace(tasks=LowRank.random(6, 2, 2, seed=8))
    gamma = optimal_preconditioner(prompts)
    best = adapter_risks(gamma, target)[rank]
    update = adapter_update(gamma, target, rank)
    assert np.linalg.matrix_rank(update, tol=1e-9) == rank
    assert preconditioner_risk(gamma + update, target) == pytest.approx(best, 1e-10)


def test_alternating_least_squares_finds_the_adapter_and_nothing_better():
    prompts, target = prompts_on(LAWS["random"]), prompts_on(LAWS["random"], n=2)
    gamma, rank = jnp.asarray(optimal_preconditioner(prompts)), 2
    best = adapter_risks(np.asarray(gamma), target)[rank]

    def risk(left, right):
        return preconditioner_risk(gamma + left @ right.T, target)

    def solved(along):  # the minimizer of a quadratic in one factor
        zero = jnp.zeros((6, rank))
        hessian = jax.hessian(along)(zero).reshape(6 * rank, -1)
        return jnp.linalg.solve(hessian, -jax.grad(along)(zero).ravel()).reshape(
            6, rank
        )

    def sweep(_, pair):
        left = solved(lambda value: risk(value, pair[1]))
        return left, solved(lambda value: risk(left, value))

    start = jr.normal(jr.key(0), (2, 6, rank))
    found = jax.jit(lambda: jax.lax.fori_loop(0, 200, sweep, tuple(start)))()
    assert risk(*found) == pytest.approx(best, rel=1e-8)
    update = adapter_update(np.asarray(gamma), target, rank)
    np.testing.assert_allclose(found[0] @ found[1].T, update, atol=1e-5)
