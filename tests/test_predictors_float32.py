"""Reference predictors in float32, over all of them, against the same in float64."""

from functools import partial

import equinox as eqx
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iclax import predictors
from iclax.predictors import prefixes
from iclax.prompts import Prompt

COUNT, DIM = 64, 12
LOW = np.linalg.qr(helpers.spd(DIM, 1))[0][:, :3]
SIGMAS = np.repeat([0.3, 1e-3, 0.0], COUNT)  # prompts of each noise level, in turn
UNITS = 10.0 ** np.linspace(-4, 4, DIM)


def prompts(n, seed=0, scale=None, repeat=False, low=False):
    """Prompts of n examples in float64, one for each of SIGMAS; hard by the options."""
    rng = np.random.default_rng(seed)
    xs = rng.standard_normal((len(SIGMAS), n + 1, DIM))
    w = rng.standard_normal((len(SIGMAS), DIM))
    w = w @ LOW @ LOW.T if low else w
    if scale is not None:
        xs, w = xs * scale, w / scale
    if repeat:
        xs[:, n // 2] = xs[:, 0]
    xs = xs.astype(np.float32).astype(np.float64)  # the same points in both precisions
    values = np.einsum("bnd,bd->bn", xs, w)
    ys = values + SIGMAS[:, None] * rng.standard_normal(values.shape)
    ys = ys.astype(np.float32).astype(np.float64)
    return Prompt(xs[:, :n], ys[:, :n], xs[:, n], values[:, n], ys[:, n])


# By the number of examples, so that a program compiles once for each.
HARD = {
    7: {"n < d": {}, "units": {"scale": UNITS}, "low rank": {"low": True}},
    DIM: {"n = d": {}, "repeated": {"repeat": True}},
    DIM + 1: {"n = d + 1": {}},
    40: {"n > d": {}, "units": {"scale": UNITS}},
}
EYE = np.eye(DIM)
# Each from σ, and the prior root that its linear system is conditioned by.
SOLVERS = {
    "ridge": (lambda s: predictors.Ridge(jnp.maximum(s, 1e-4) ** 2), EYE),
    "least squares": (lambda s: predictors.LeastSquares(), EYE),
    "posterior": (lambda s: predictors.GaussianPosteriorMean(EYE, s), EYE),
    "low prior": (lambda s: predictors.GaussianPosteriorMean(LOW @ LOW.T, s), LOW),
    "mixture": (
        lambda s: predictors.MixturePosteriorMean(
            [0.5, 0.5],
            np.stack([EYE[0], -EYE[0]]),
            np.stack([EYE] * 2),
            jnp.maximum(s, 1e-2),
        ),
        EYE,
    ),
    "process": (
        lambda s: predictors.GaussianProcessPosterior(
            lambda x, z: jnp.exp(-0.02 * jnp.sum((x[:, None] - z[None]) ** 2, -1)),
            jnp.maximum(s, 1e-2) ** 2,
        ),
        None,
    ),
}
PLAIN = {
    "zero": predictors.Zero(),
    "step": predictors.GradientStep(helpers.spd(DIM, 2)),
    "averaging": predictors.Averaging(),
    "descent": predictors.GradientDescent(4, 0.2),
    "gd++": predictors.GradientDescentPlusPlus(3, 0.2, 0.1),
    "nearest": predictors.KNearest(3),
    "pool": predictors.DiscreteMMSE(
        np.random.default_rng(3).standard_normal((16, DIM)), 0.5
    ),
}


def test_the_registry_holds_every_predictor():
    here = {type(build(1.0)) for build, _ in SOLVERS.values()}
    here |= {type(p) for p in PLAIN.values()}
    for value in vars(predictors).values():
        if isinstance(value, type) and issubclass(value, eqx.Module):
            assert value in here, value


@partial(jax.jit, static_argnums=(0, 3), compiler_options=helpers.QUICK)
def ran(build, batch, sigmas, last):
    def one(prompt, sigma):
        predictor = build(sigma)
        return prefixes(predictor, prompt)[-1] if last else predictor(prompt)

    return jax.vmap(one)(batch, sigmas)


def predicted(build, batch, dtype, last, sigmas=SIGMAS):
    """Predictions at the queries, by a call or as the last of the prefixes."""
    values = jax.tree.map(lambda a: jnp.asarray(a, dtype), (batch, sigmas))
    return np.asarray(ran(build, *values, last), np.float64)


def conditions(batch, root, sigmas):
    """Of [X F; σ I] for each prompt, directions of 0 left out: what a solution in
    floating point is worth, in units of its spacing."""
    rows = np.linalg.svd(batch.xs @ root, compute_uv=False)
    rows = np.sqrt(rows**2 + sigmas[:, None] ** 2)
    kept = np.where(rows > 1e-10 * rows[:, :1], rows, np.inf)
    return rows[:, 0] / kept.min(axis=1)


@pytest.mark.parametrize("n", helpers.mostly_in_ci(HARD, keep=[7, DIM, 40]))
@pytest.mark.parametrize("name", SOLVERS)
def test_float32_is_as_good_as_the_condition_allows(name, n):
    """Its error grows with the condition number of the system, not with its square."""
    build, root = SOLVERS[name]
    for hard, options in HARD[n].items():
        if hard == "units" and name not in ("least squares", "ridge"):
            continue  # a prior in other units than x is another prior
        batch = prompts(n, **options)
        exact = predicted(build, batch, jnp.float64, False)
        size = np.max(np.abs(batch.ys), axis=1) + np.abs(exact)
        if root is None:
            condition = 1e4  # k = O(1) on the diagonal, σ² = 1e-4
        else:
            own = {"ridge": np.maximum(SIGMAS, 1e-4), "least squares": 0 * SIGMAS}
            squares = name == "least squares" and hard == "units"
            units = 1 / UNITS if squares else np.ones(DIM)
            condition = conditions(batch, np.diag(units) @ root, own.get(name, SIGMAS))
        bound = 200 * np.finfo(np.float32).eps * condition * size
        for last in (False, True):
            found = predicted(build, batch, jnp.float32, last)
            worst = np.max(np.abs(found - exact) / bound)
            assert worst < 1, (hard, last, worst)


@pytest.mark.parametrize("name", PLAIN)
def test_plain_predictors_are_right_in_float32(name):
    batch, build = prompts(20), lambda sigma: PLAIN[name]
    exact, found = (
        predicted(build, batch, dtype, False) for dtype in (jnp.float64, jnp.float32)
    )
    np.testing.assert_allclose(found, exact, atol=2e-4 * np.abs(exact).max() + 1e-12)


def test_noiseless_least_squares_at_n_equal_d():
    """Was: prefixes with a mean squared error of 6e-3 where the call had 3e-8."""
    batch = jax.tree.map(lambda a: a[SIGMAS == 0], prompts(DIM, seed=3))
    for last in (False, True):
        build = lambda sigma: predictors.LeastSquares()
        found = predicted(build, batch, jnp.float32, last, SIGMAS[SIGMAS == 0])
        assert np.median((found - batch.target) ** 2) < 1e-9
        assert np.mean((found - batch.target) ** 2) < 1e-5


def test_a_traced_noise_level_is_the_known_one():
    batch = prompts(DIM)
    one = jax.tree.map(lambda a: jnp.asarray(a[COUNT], jnp.float32), batch)
    build = lambda s: predictors.GaussianPosteriorMean(EYE, s)(one)
    for sigma in (0.0, 1e-3, 0.5):
        np.testing.assert_allclose(jax.jit(build)(sigma), build(sigma), rtol=1e-4)


@pytest.mark.parametrize("n", helpers.mostly_in_ci([2, 3, 5, 6, 9, 14], keep=[3, 5, 9]))
def test_least_squares_of_dependent_points(n):
    """Repeated points, points in a plane; labels that contradict each other."""
    rng = np.random.default_rng(n)
    dim, count = 5, 20
    xs = rng.standard_normal((count, n + 1, dim))
    xs[::2, n // 2] = xs[::2, 0]
    xs[1::2, :-1] = xs[1::2, :-1] @ np.diag([1, 1, 1, 0, 0]) @ helpers.spd(dim, 2)
    ys = rng.standard_normal((count, n))
    batch = Prompt(xs[:, :n], ys, xs[:, n], ys[:, 0], ys[:, 0])
    exact = [
        q @ np.linalg.lstsq(x, y, rcond=1e-12)[0]
        for x, y, q in zip(xs[:, :n], ys, xs[:, n], strict=True)
    ]
    least = lambda s: predictors.GaussianPosteriorMean(np.eye(dim), s)
    for build in (lambda s: predictors.LeastSquares(), least):
        for last in (False, True):
            found = predicted(build, batch, jnp.float64, last, np.zeros(count))
            np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-9)


def test_gradients_of_dependent_points():
    """Of a repeated point and one at 0: finite, and those of central differences."""
    rng = np.random.default_rng(0)
    xs = rng.standard_normal((7, 5))
    xs[1], xs[2] = 0.0, xs[0]
    ys, direction, step = rng.standard_normal(6), rng.standard_normal(6), 1e-6
    for run in (lambda p: predictors.LeastSquares()(p), lambda p: last(p)):
        at = lambda xs, ys, run=run: run(Prompt(xs[:6], ys, xs[6], ys[0], ys[0]))
        of_xs, of_ys = jax.grad(at, (0, 1))(jnp.asarray(xs), jnp.asarray(ys))
        moved = [at(xs, ys + sign * step * direction) for sign in (1, -1)]
        slope = (moved[0] - moved[1]) / (2 * step)
        np.testing.assert_allclose(of_ys @ direction, slope, rtol=1e-6)
        assert np.isfinite(of_xs).all()


def last(prompt):
    return prefixes(predictors.LeastSquares(), prompt)[-1]


def test_a_tiny_penalty_at_n_equal_d():
    """d = n = 20, λ = 1e-6: .172 in float32 once, for what is .0105 in float64."""
    rng = np.random.default_rng(5)
    xs, w = rng.standard_normal((400, 21, 20)), rng.standard_normal((400, 20))
    values = np.einsum("bnd,bd->bn", xs, w)
    batch = Prompt(xs[:, :20], values[:, :20], xs[:, 20], values[:, 20], values[:, 20])
    ridge = lambda sigma: predictors.Ridge(1e-6)
    wide = predicted(ridge, batch, jnp.float64, False, np.zeros(400))
    risk = np.mean((wide - batch.target) ** 2)
    for last in (False, True):
        found = predicted(ridge, batch, jnp.float32, last, np.zeros(400))
        assert np.mean((found - batch.target) ** 2) == pytest.approx(risk, rel=0.05)
