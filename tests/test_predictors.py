"""Reference predictors against other ways to compute them."""

import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import mostly_in_ci
from scipy import stats
from scipy.special import softmax
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.neighbors import KNeighborsRegressor

from iclax import predictors as p
from iclax._errors import AssumptionError, SettingError
from iclax.covariates import Gaussian, Uniform
from iclax.predictors._solve import psd_root, solve_and_log_det
from iclax.prompts import Prompt, PromptDistribution
from iclax.sampling import fresh_batch
from iclax.tasks import GaussianProcess, Linear, LowRank, Mixture, ReluNeuron

D = 3
COV = np.array([[1.0, 0.3, 0.0], [0.3, 0.5, 0.2], [0.0, 0.2, 2.0]])
THIN = np.array([[1.0, 0.5], [0.0, 1.0], [-1.0, 0.5]])
MEAN = np.array([0.5, -1.0, 0.2])
POOL = np.random.default_rng(5).normal(size=(1500, D))
KERNEL = GaussianProcess.rbf(D, 0.9)

PREDICTORS = {
    "zero": p.Zero(),
    "step": p.GradientStep(0.7),
    "preconditioned": p.GradientStep(COV + THIN[:, :1]),
    "averaging": p.Averaging(),
    "descent": p.GradientDescent(4, 0.1),
    "descent++": p.GradientDescentPlusPlus(3, [0.2, 0.3, 0.1], 0.15),
    "ridge": p.Ridge(0.3),
    "least squares": p.LeastSquares(),
    "gaussian": p.GaussianPosteriorMean(COV, 0.5, MEAN),
    "low rank": p.GaussianPosteriorMean(THIN @ THIN.T, 0.5),
    "noiseless": p.GaussianPosteriorMean(THIN @ THIN.T, 0.0, MEAN),
    "mixture": p.MixturePosteriorMean(
        [0.2, 0.8], [MEAN, 0 * MEAN], np.stack([THIN, THIN[::-1]]), 0.5
    ),
    "discrete": p.DiscreteMMSE(POOL, 0.5),
    "process": p.GaussianProcessPosterior(KERNEL.kernel, 0.1),
    "nearest": p.KNearest(2),
}


def random_prompt(seed, n, d=D):
    rng = np.random.default_rng(seed)
    shapes = ((n, d), (n,), (d,), (), ())
    return Prompt(*(jnp.asarray(rng.normal(size=s)) for s in shapes))


def oracle(name, x, y, q):
    """The same prediction in NumPy, by another route."""
    n, d = x.shape
    if name == "zero":
        return 0.0
    if name in ("step", "averaging"):
        return (0.7 if name == "step" else 1.0) * np.mean(y * (x @ q))
    if name == "preconditioned":
        return np.mean([y[i] * q @ (COV + THIN[:, :1]) @ x[i] for i in range(n)])
    if name == "descent":  # I − (I − ηA)^K times the solution, through A⁺
        a, b = x.T @ x / n, x.T @ y / n
        left = np.linalg.matrix_power(np.eye(d) - 0.1 * a, 4)
        return q @ (np.eye(d) - left) @ np.linalg.pinv(a) @ b
    if name == "descent++":
        return gd_plus_plus(x, y, q, [0.2, 0.3, 0.1], 0.15)
    if name == "ridge":
        rows = np.vstack([x, 0.3**0.5 * np.eye(d)])
        return q @ np.linalg.lstsq(rows, np.append(y, np.zeros(d)))[0]
    if name == "least squares":
        return q @ np.linalg.pinv(x) @ y
    if name in ("gaussian", "low rank", "noiseless"):
        cov = COV if name == "gaussian" else THIN @ THIN.T
        mean = 0 * MEAN if name == "low rank" else MEAN
        noise = 0.0 if name == "noiseless" else 0.25
        return posterior(x, y, q, mean, cov, noise)[0]
    if name == "mixture":
        parts = [
            posterior(x, y, q, m, f @ f.T, 0.25)
            for m, f in ((MEAN, THIN), (0 * MEAN, THIN[::-1]))
        ]
        values, evidence = np.array(parts).T
        return softmax(np.log([0.2, 0.8]) + evidence) @ values
    if name == "discrete":
        errors = ((y[:, None] - x @ POOL.T) ** 2).sum(0)
        return softmax(-errors / (2 * 0.25)) @ POOL @ q
    if name == "process":
        model = GaussianProcessRegressor(RBF(0.9), alpha=0.1, optimizer=None)
        return model.fit(x, y).predict(q[None])[0]
    model = KNeighborsRegressor(min(2, n)).fit(x, y)
    return model.predict(q[None])[0]


def posterior(x, y, q, mean, cov, noise):
    """Conditioning of the joint Gaussian, and its evidence."""
    gram = x @ cov @ x.T + noise * np.eye(len(y))
    value = q @ mean + q @ cov @ x.T @ np.linalg.pinv(gram, 1e-10) @ (y - x @ mean)
    if not noise:
        return value, 0.0
    return value, stats.multivariate_normal.logpdf(y, x @ mean, gram)


def gd_plus_plus(x, y, q, etas, gamma):
    """Token by token, in the order of a linear attention layer."""
    tokens = [(a.copy(), b) for a, b in zip(x, y, strict=True)] + [(q.copy(), 0.0)]
    n = len(y)
    for eta in etas:
        second = sum(np.outer(a, a) for a, _ in tokens[:-1]) / n
        move = sum(b * a for a, b in tokens[:-1]) / n
        tokens = [(a - gamma * second @ a, b - eta * move @ a) for a, b in tokens]
    return -tokens[-1][1]


@pytest.mark.parametrize("name", PREDICTORS)
def test_equals_the_oracle(name):
    for n in (2, 7):  # fewer and more examples than dimensions
        prompt = random_prompt(n, n)
        if name == "noiseless":  # labels that have a solution
            w = MEAN + THIN @ np.array([0.7, -0.4])
            prompt = prompt._replace(ys=prompt.xs @ w)
        x, y, q = (np.asarray(a) for a in prompt[:3])
        expected = oracle(name, x, y, q)
        found = eqx.filter_jit(PREDICTORS[name])(prompt)
        assert np.allclose(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", [k for k, v in PREDICTORS.items() if k != "zero"])
def test_prefixes_in_one_pass(name):
    """Against asking again at every point with the examples before it."""
    prompt, predictor = random_prompt(0, 6), PREDICTORS[name]
    if name == "noiseless":
        prompt = prompt._replace(ys=prompt.xs @ MEAN)
    found = np.asarray(eqx.filter_jit(p.prefixes)(predictor, prompt))
    x, y, at = (np.asarray(a) for a in (prompt.xs, prompt.ys, p.points(prompt)))
    expected = [oracle(name, x[:i], y[:i], at[i]) for i in range(1, 7)]
    assert found.shape == (7,)
    assert np.allclose(found[1:], expected, rtol=1e-7, atol=1e-9)
    prior = {
        "gaussian": MEAN,
        "noiseless": MEAN,
        "mixture": 0.2 * MEAN,
        "discrete": POOL.mean(0),
    }.get(name, 0 * MEAN)
    assert np.allclose(found[0], at[0] @ prior, atol=1e-12)


def random_prompts(count):
    """A batch of prompts, and each of them."""
    each = [random_prompt(seed, 6) for seed in range(count)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each), each


@pytest.mark.parametrize(
    "name", mostly_in_ci(["discrete", "nearest", "a plain function"], keep=["nearest"])
)
def test_prefixes_of_a_batch(name):
    """Also where blocks do not divide it, and within `jit`."""
    plain = lambda prompt: jnp.sum(prompt.ys) * prompt.query[0]
    predictor = PREDICTORS.get(name, plain)
    batch, each = random_prompts(5)
    expected = [p.prefixes(predictor, prompt) for prompt in each]
    by_blocks = lambda size: lambda b: p.batch_prefixes(predictor, b, batch_size=size)
    for run in (by_blocks(2), by_blocks(64), jax.jit(by_blocks(2))):
        np.testing.assert_allclose(run(batch), expected, rtol=1e-10, atol=1e-12)


DEVICES = """
import jax, numpy as np
jax.config.update("jax_num_cpu_devices", 4)
from iclax.predictors import DiscreteMMSE, batch_prefixes
from iclax.prompts import Prompt
rng = np.random.default_rng(0)
shapes = ((6, 3, 2), (6, 3), (6, 2), (6,), (6,))
batch = Prompt(*(rng.normal(size=s).astype(np.float32) for s in shapes))
predictor = DiscreteMMSE(rng.normal(size=(9, 2)), 0.5)
alone = batch_prefixes(predictor, batch)
held = jax.device_put(batch, jax.devices()[1])
for prompts in (batch, held):
    shared = batch_prefixes(predictor, prompts, devices=jax.devices())
    assert len(shared.sharding.device_set) == 4
    np.testing.assert_allclose(shared, alone, rtol=1e-5)
"""


def test_devices_share_a_batch_that_they_do_not_divide():
    subprocess.run([sys.executable, "-c", DEVICES], timeout=60, check=True)


def test_batches_that_cannot_be_predicted_are_refused():
    batch, _ = random_prompts(2)
    for name, options in (
        ("batch_size", dict(batch_size=0)),
        ("devices", dict(devices=[])),
        ("prompts", {}),
    ):
        own = jax.tree.map(lambda leaf: leaf[:0], batch) if name == "prompts" else batch
        with pytest.raises(SettingError, match=f"^{name}: found 0"):
            p.batch_prefixes(p.Zero(), own, **options)
    one = jax.tree.map(lambda leaf: leaf[0], batch)
    with pytest.raises(SettingError, match=r"^prompts: .* \(6,\).*`prefixes`"):
        p.batch_prefixes(p.Zero(), one)


def test_least_squares_prefixes_with_repeated_inputs():
    """A repeated or dependent x is not a new direction."""
    x = np.array([[1.0, 2, 0], [1, 2, 0], [0, 1, 0], [2, 5, 0], [0, 0, 1], [1, 1, 1]])
    prompt = random_prompt(3, 6)._replace(xs=jnp.asarray(x))
    found = p.prefixes(p.LeastSquares(), prompt)
    y, at = np.asarray(prompt.ys), np.asarray(p.points(prompt))
    expected = [at[i] @ np.linalg.pinv(x[:i]) @ y[:i] for i in range(1, 7)]
    assert np.allclose(found[1:], expected, rtol=1e-8)


def test_one_pass_in_float32(getkey):
    """No loss of accuracy that matters after many rank-one updates."""
    with jax.enable_x64(False):
        prompt = jax.tree.map(jnp.float32, random_prompt(1, 200, 8))
        for predictor in (p.Ridge(0.01), p.LeastSquares()):
            found = np.asarray(eqx.filter_jit(p.prefixes)(predictor, prompt))[9:]
            x, y, at = (
                np.asarray(a, np.float64)
                for a in (prompt.xs, prompt.ys, p.points(prompt))
            )
            strength = 0.01 if isinstance(predictor, p.Ridge) else 0.0
            expected = [
                at[i]
                @ np.linalg.solve(
                    x[:i].T @ x[:i] + strength * np.eye(8), x[:i].T @ y[:i]
                )
                for i in range(9, 201)
            ]
            assert np.max(np.abs(found - expected)) < 2e-3 * np.std(expected)


def test_mixture_is_the_limit_of_a_pool():
    """dMMSE over many draws of w from the mixture tends to its posterior mean."""
    rng = np.random.default_rng(0)
    mixture, count = PREDICTORS["mixture"], 2**18
    which = rng.choice(2, count, p=mixture.weights)
    noise = rng.normal(size=(count, 2))
    pool = mixture.means[which] + np.einsum("kdr,kr->kd", mixture.factors[which], noise)
    prompt = random_prompt(4, 3)
    found = eqx.filter_jit(p.prefixes)(p.DiscreteMMSE(pool, 0.5), prompt)
    assert np.allclose(found, p.prefixes(mixture, prompt), atol=0.05)


@pytest.mark.parametrize("far", [1e3, 1e6])
def test_discrete_far_from_every_task(far):
    """Labels that no task explains: the least bad task, not a NaN."""
    prompt = random_prompt(0, 3)
    prompt = prompt._replace(ys=far * prompt.ys)
    x, y, q = (np.asarray(a) for a in prompt[:3])
    found = PREDICTORS["discrete"](prompt)
    assert np.allclose(found, oracle("discrete", x, y, q), rtol=1e-6)


LAWS = {
    "mean": PromptDistribution(Gaussian(COV), Linear(COV, MEAN), 2, 0.6),
    "no noise": PromptDistribution(Uniform(COV), LowRank.coordinates(D, 2), 2),
    "mixture": PromptDistribution(
        Gaussian(np.eye(D)),
        Mixture([LowRank.coordinates(D, 1, 2), Linear(COV, MEAN)], [0.7, 0.3]),
        3,
        0.4,
    ),
    "process": PromptDistribution(Uniform(np.eye(D)), KERNEL, 4, 0.3),
}


@pytest.mark.parametrize("name", LAWS)
def test_bayes_predictor_errs_at_right_angles(name, getkey):
    """E[(ŷ − f) g(context)] = 0 for every g: no predictor can improve on it."""
    law = LAWS[name]
    bayes = p.bayes_predictor(law)

    def terms(prompt):
        value = bayes(prompt)
        error = value - prompt.target
        ridge = p.Ridge(1.0)(prompt)
        tests = [1.0, value, ridge, ridge**2, p.Averaging()(prompt), prompt.ys[0]]
        gain = (ridge - prompt.target) ** 2 - error**2
        return jnp.stack([error * g for g in tests] + [gain])

    batch = jax.jit(fresh_batch(law, 20_000))(getkey())
    found = np.asarray(jax.jit(jax.vmap(terms))(batch))
    scores = found.mean(0) / (found.std(0) / len(found) ** 0.5 + 1e-12)
    assert np.all(np.abs(scores[:-1]) < 4.5), scores
    assert scores[-1] > 5  # and it does beat ridge regression


def test_refusals():
    law = PromptDistribution(Gaussian(np.eye(D)), ReluNeuron(np.eye(D)), 2)
    with pytest.raises(AssumptionError, match="ReluNeuron"):
        p.bayes_predictor(law)
    with pytest.raises(SettingError, match="noise_std"):
        p.DiscreteMMSE(POOL, 0.0)
    mixture = Mixture([Linear(np.eye(D)), Linear(COV)])
    with pytest.raises(SettingError, match="noise_std"):
        p.bayes_predictor(PromptDistribution(Gaussian(COV), mixture, 2))


def test_predictors_batch(getkey):
    batch = jax.jit(fresh_batch(LAWS["mean"], 3))(getkey())
    for predictor in (PREDICTORS["mixture"], PREDICTORS["discrete"]):
        found = jax.jit(jax.vmap(predictor))(batch)
        one = predictor(jax.tree.map(lambda leaf: leaf[1], batch))
        assert np.allclose(found[1], one, rtol=1e-10)


def test_systems_of_any_order_of_pivots():
    """Against NumPy, where the first pivots are 0, and through autodiff."""
    rng = np.random.default_rng(3)
    matrix, right = rng.normal(size=(5, 4, 4)), rng.normal(size=(5, 4))
    matrix[:, 0, 0] = matrix[:, 1, 1] = 0.0
    found, log_det = jax.vmap(solve_and_log_det)(
        jnp.asarray(matrix), jnp.asarray(right)
    )
    expected = np.linalg.solve(matrix, right[..., None])[..., 0]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(matrix)[1], rtol=1e-9)
    slope = jax.grad(lambda a: solve_and_log_det(a, jnp.asarray(right[0]))[1])
    inverse = np.linalg.inv(matrix[0]).T
    np.testing.assert_allclose(slope(jnp.asarray(matrix[0])), inverse, rtol=1e-8)


def test_leading_columns_of_a_root():
    rng = np.random.default_rng(4)
    a = rng.normal(size=(5, 5))
    psd = a @ a.T
    expected = np.linalg.cholesky(psd)
    np.testing.assert_allclose(psd_root(jnp.asarray(psd), 5), expected, rtol=1e-9)
    psd[-1, -1] = 0.0  # not positive definite as a whole
    found = np.asarray(psd_root(jnp.asarray(psd), 4))
    np.testing.assert_allclose(found[:, :4], expected[:, :4], rtol=1e-9)
    assert not found[:, 4].any()


def test_many_systems_side_by_side_do_not_wait_for_each_other():
    """Two batches of LAPACK calls in one program hang XLA on two cores."""
    code = """
import jax, jax.numpy as jnp, jax.random as jr
from iclax.predictors import Ridge
from iclax.prompts import Prompt
keys = jr.split(jr.key(0), 3)
xs, ys = jr.normal(keys[0], (4096, 15, 8)), jr.normal(keys[1], (4096, 15))
prompts = Prompt(xs, ys, xs[:, 0], ys[:, 0], ys[:, 0])
both = lambda p: [Ridge(0.1)(p), Ridge(0.2)(p), Ridge(0.3)(p)]
for _ in range(3):
    jax.block_until_ready(jax.jit(jax.vmap(both))(prompts))
"""
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)


# (dimension, rank, components, length, noise): hard for float32, where rounding is as
# large as the noise unless the systems are those of the rank.
FLOAT32 = [
    (20, 2, 1, 400, 0.01),
    (10, 1, 1, 300, 1e-3),
    (8, 2, 4, 12, 1e-3),
    (8, 5, 4, 3, 1e-3),
    (8, 5, 4, 12, 1e-4),
]


def in_float32(prompts):
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), prompts)


def sampled(law, count, getkey):
    return jax.vmap(law.sample)(jr.split(getkey(), count))


@pytest.mark.parametrize(
    "d, r, count, n, sigma",
    [
        case if case[3] == 3 else pytest.param(*case, marks=pytest.mark.ci)
        for case in FLOAT32
    ],
)
def test_bayes_predictors_are_as_good_in_float32(d, r, count, n, sigma, getkey):
    tasks = LowRank.random(d, r, count, seed=1)
    law = PromptDistribution(Gaussian(np.eye(d)), tasks, n, sigma)
    predictor, prompts = p.bayes_predictor(law), sampled(law, 50, getkey)
    exact = jax.vmap(predictor)(prompts)
    every = jax.vmap(predictor.prefixes)(prompts)
    np.testing.assert_allclose(every[:, -1], exact, rtol=1e-9, atol=1e-12)
    single = in_float32(prompts)
    assert jax.vmap(predictor)(single).dtype == jnp.float32
    # A few prompts of nearly dependent rows multiply the rounding.
    np.testing.assert_allclose(jax.vmap(predictor)(single), exact, atol=1e-3)
    np.testing.assert_allclose(jax.vmap(predictor.prefixes)(single), every, atol=1e-3)


def test_little_ridge_is_as_good_in_float32(getkey):
    law = PromptDistribution(Gaussian(np.eye(5)), Linear(np.eye(5)), 40, 0.5)
    prompts = sampled(law, 50, getkey)
    for strength in (1e-6, 1e-4):
        ridge = p.Ridge(strength)
        every = jax.vmap(ridge.prefixes)(in_float32(prompts))
        np.testing.assert_allclose(
            every[:, -1], jax.vmap(ridge)(prompts), rtol=1e-3, atol=1e-3
        )


def test_no_noise_is_seen_inside_jit_too(getkey):
    law = PromptDistribution(Gaussian(np.eye(4)), LowRank.random(4, 1), 6, 0.0)
    predictor, prompt = p.bayes_predictor(law), law.sample(getkey())
    found = jax.jit(lambda predictor, prompt: predictor(prompt))(predictor, prompt)
    np.testing.assert_allclose(found, prompt.target, rtol=1e-9)


def test_a_traced_covariance_is_factored(getkey):
    cov = THIN @ THIN.T
    law = PromptDistribution(Gaussian(np.eye(len(cov))), Linear(cov), 7, 0.3)
    prompt = law.sample(getkey())
    found = jax.jit(lambda c: p.GaussianPosteriorMean(c, 0.3)(prompt))(jnp.asarray(cov))
    np.testing.assert_allclose(found, p.GaussianPosteriorMean(cov, 0.3)(prompt))


def test_point_masses_are_chosen_by_their_evidence(getkey):
    points = [Linear(np.zeros((2, 2)), mean) for mean in ([1.0, 0.0], [0.0, 1.0])]
    law = PromptDistribution(Gaussian(np.eye(2)), Mixture(points), 5, 0.3)
    predictor, prompt = p.bayes_predictor(law), law.sample(getkey())
    pool = p.DiscreteMMSE(np.eye(2), 0.3)
    np.testing.assert_allclose(predictor(prompt), pool(prompt))
    np.testing.assert_allclose(predictor.prefixes(prompt), pool.prefixes(prompt))


@pytest.mark.parametrize(
    "predictor",
    [p.Ridge(0.5), p.LeastSquares(), p.GaussianPosteriorMean([1.0, 2.0], 1.0)],
)
def test_whole_numbers_in_prompts_are_numbers(predictor):
    whole = Prompt(
        jnp.array([[1, 2], [3, -1], [0, 1]]),
        jnp.array([1, 2, 0]),
        jnp.array([1, 1]),
        jnp.array(0),
        jnp.array(0),
    )
    floats = jax.tree.map(lambda a: a.astype(float), whole)
    np.testing.assert_allclose(predictor.prefixes(whole), predictor.prefixes(floats))


@pytest.mark.parametrize(
    "wrong, key",
    [
        (lambda: p.Ridge(0.0), "strength"),
        (lambda: p.Ridge(-1.0), "strength"),
        (lambda: p.GradientDescent(-1, 0.1), "steps"),
        (lambda: p.KNearest(0), "k"),
        (lambda: p.DiscreteMMSE(np.zeros((0, 2)), 0.5), "pool"),
        (lambda: p.GaussianPosteriorMean(-np.eye(2), 0.5), "cov"),
        (lambda: p.GaussianPosteriorMean(np.eye(2), -0.5), "noise_std"),
    ],
)
def test_what_is_no_law_is_refused(wrong, key):
    with pytest.raises(SettingError, match=key):
        wrong()


@pytest.mark.parametrize("rates", [np.array([0.1, 0.5]), [0.1], [0.1] * 3])
def test_step_sizes_that_fit_no_steps_are_refused(rates, getkey):
    law = PromptDistribution(Gaussian(np.eye(2)), Linear(np.eye(2)), 5)
    for predictor in (
        p.GradientDescent(2, rates),
        p.GradientDescentPlusPlus(2, rates, 0.1),
    ):
        with pytest.raises(SettingError, match="step_size"):
            predictor(law.sample(getkey()))


def test_a_law_of_traced_tasks_is_unknown_and_said_to_be(getkey):
    def predict(cov):
        law = PromptDistribution(Gaussian(np.eye(2)), Linear(cov), 5, 0.1)
        return p.bayes_predictor(law)(prompt)

    known = PromptDistribution(Gaussian(np.eye(2)), Linear(np.eye(2)), 5, 0.1)
    prompt = known.sample(getkey())
    exact = p.bayes_predictor(known)(prompt)
    np.testing.assert_allclose(predict(jnp.eye(2)), exact)
    with pytest.raises(AssumptionError, match="Bayes predictor of Linear"):
        jax.jit(predict)(jnp.eye(2))
