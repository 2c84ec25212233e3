"""Low-rank mixtures, their geometry and the risks on them."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from iclax._errors import SettingError
from iclax.covariates import Gaussian
from iclax.tasks import LowRank, principal_angles
from iclax.theory import moments

LAWS = {
    "one": LowRank.coordinates(5, 2),
    "shared": LowRank.coordinates(7, 3, components=2, shared_columns=1),
    "weighted": LowRank.coordinates(6, 2, components=3, weights=[1, 2, 5]),
    "random": LowRank.random(6, 3, components=3, shared_columns=1, seed=3, floor=0.1),
}


@pytest.mark.parametrize("name", LAWS)
def test_weights_sampled_have_the_stated_second_moment(name, getkey):
    tasks, num = LAWS[name], 200_000
    w = np.asarray(jax.vmap(tasks.sample_weights)(jr.split(getkey(), num)))
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
