"""Exact numbers under any scale: a change of units changes nothing but the units."""

from fractions import Fraction

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iclax import theory
from iclax._errors import AssumptionError, SettingError
from iclax._psd import (
    as_covariance,
    covariance_root,
    num_directions,
    psd_inverse,
    psd_root,
    psd_roots,
    psd_solve,
)
from iclax.covariates import Data, Gaussian, Rademacher, StudentT
from iclax.prompts import PromptDistribution
from iclax.settings import parse_setting
from iclax.tasks import (
    DecisionTree,
    FourierFeatures,
    GaussianProcess,
    Linear,
    LinearPool,
    LowRank,
    Mixture,
    Projected,
    ReluNeuron,
    TwoLayerRelu,
)


def law(cov, w, n, sigma=0.0, mean=None):
    return PromptDistribution(Gaussian(cov), Linear(w, mean), n, sigma)


# The cases that were wrong when cut-offs were relative to the largest eigenvalue.


@pytest.mark.parametrize(
    "prompts, right",
    [
        (law([1e8, 1e-5], [1e-8, 1e5], 20, 0.1), 0.261625380269),
        (law([1.0, 5e-7], [1.0, 1.0], 10**9), 2.998005484e-9),
        (law([1.0, 1e-10], [1.0, 1e10], 20), 0.26086956521739),
        (law([0.0, 0.0], [1.0, 1.0], 20), 0.0),
    ],
)
def test_the_least_risk_of_distributions_of_mixed_scales(prompts, right):
    assert theory.optimal_risk(prompts) == pytest.approx(right, rel=1e-9)
    again = theory.context_length_risks(prompts, [prompts.context_length], True)
    assert again[0] == pytest.approx(right, rel=1e-9)


def test_a_small_coordinate_has_its_own_step():
    gamma = theory.optimal_preconditioner(law([1.0, 1e-11], [1.0, 1.0], 50))
    assert gamma[1, 1] == pytest.approx(50.0, rel=1e-8)


@pytest.mark.parametrize("n", [2**31 - 1, 10**12])
def test_a_long_context_leaves_a_small_positive_risk(n):
    """No less than what is left, no more than the plain step's; sums of squares."""
    prompts = law([1.0, 1.0], [1.0, 1.0], n)
    best, plain = theory.optimal_risk(prompts), theory.best_plain_step(prompts).risk
    assert best == pytest.approx(6 / (n + 3), rel=1e-12)
    assert 0 < best <= plain <= best * (1 + 1e-12)


@pytest.mark.parametrize("name", helpers.TASKS)
@pytest.mark.parametrize("cov", ["gaussian", "uniform", "rademacher", "data"])
def test_no_exact_risk_is_negative_or_above_a_worse_predictor(name, cov):
    tasks = helpers.TASKS[name](3)
    for n, sigma in ((1, 0.0), (3, 0.5), (10**7, 0.0)):
        prompts = PromptDistribution(helpers.COVARIATES[cov](3), tasks, n, sigma)
        try:
            m = theory.prompt_moments(prompts)
        except AssumptionError:
            return
        best, step = m.least_risk(), m.best_plain_step()
        assert 0 <= best <= step.risk <= m.power * (1 + 1e-12)
        # The formula without squares, to the round-off of the power.
        plain = m.power - np.sum(m.optimum() * m.cross.T)
        assert best == pytest.approx(plain, abs=1e-11 * m.power)
        assert m.risk(m.optimum()) == pytest.approx(best, rel=1e-12, abs=0)


def test_no_signal_and_no_noise_give_no_step():
    step = theory.best_plain_step(law([0.0, 0.0], [1.0, 1.0], 5))
    assert step.step == 0 and step.risk == 0


def test_inverse_covariates_of_a_setting_of_mixed_scales():
    setting = parse_setting(
        {
            "version": 1,
            "prompt": {"context_length": 20},
            "covariates": {"kind": "gaussian", "cov": [1e9, 1e-9]},
            "tasks": {"kind": "linear", "cov": "inverse_covariates"},
        }
    )
    assert theory.zero_risk(setting.prompts()) == pytest.approx(2.0, rel=1e-12)


@pytest.mark.parametrize("c", [1.0, 700.0, 1000.0, 1e6])
def test_the_full_layer_does_not_depend_on_the_unit_of_the_labels(c):
    eye = np.eye(3)
    prompts = law(eye, c**2 * eye / 2, 10, c * 0.1**0.5, np.array([c, 0.0, 0.0]))
    heads = theory.multi_head_optimum(prompts)
    assert heads.risk / c**2 == pytest.approx(0.506143909291, rel=1e-9)
    head = theory.optimal_attention(prompts)
    assert head.risk / c**2 == pytest.approx(0.677623155187, rel=1e-9)
    for found in (heads.weights, (head.readout, head.key_query)):
        risk = theory.attention_risk(*found, prompts) / c**2
        assert risk == pytest.approx(
            (heads if len(found[0]) == 4 and found is heads.weights else head).risk
            / c**2,
            rel=1e-9,
        )
    gd = theory.best_plain_step(prompts)
    assert np.linalg.norm(head.readout) == pytest.approx(1.0) and gd.risk > head.risk


@pytest.mark.parametrize(
    "kind, init, half, rel",
    [("linear", 1e-4, 12.5537, 1e-4), ("merged", 1e-3, 1.54e7, 1e-3)],
)
def test_a_flow_goes_on_to_learn_a_small_coordinate(kind, init, half, rel):
    found = theory.flow(law([1.0, 1e-7], [1.0, 1e7], 20), kind, init=init)
    assert found.half_drop_time == pytest.approx(half, rel=rel)
    assert found.final_risk == pytest.approx(0.26087, rel=1e-5) and found.converged


def test_saddles_of_a_small_coordinate():
    found = theory.saddles(law([1.0, 1e-9], [1.0, 1e9], 20))
    np.testing.assert_allclose(found.losses, [2.0, 26 / 23, 6 / 23], rtol=1e-9)


def test_a_claim_without_the_small_coordinate_is_refuted():
    prompts = law([1.0, 1e-9], [1.0, 1e9], 50)
    found = theory.certify(np.diag([50 / 53, 0.0]), prompts, starts=4)
    assert not found.proven and found.lower_risk_found and not found.stationary
    assert found.best_risk == pytest.approx(0.1132075, rel=1e-6)
    assert theory.certify(
        theory.optimal_preconditioner(prompts), prompts, starts=1
    ).proven


def test_constant_coordinates_of_trees_always_agree():
    tasks, zero = DecisionTree(2, 2), np.zeros((1, 2))
    kernel = theory.task_kernel(tasks, zero, np.array([[0.5, 0.0]]))
    assert kernel[0, 0] == pytest.approx(1 / 4)
    prompts = PromptDistribution(Gaussian([1.0, 0.0]), tasks, 10, 0.5)
    assert theory.optimal_risk(prompts) == pytest.approx(0.8323035825, rel=1e-9)
    one, two = (
        theory.optimal_risk(prompts.replace(covariates=x))
        for x in (Rademacher([1.0, 0.0]), Data([[1.0, 0.0], [-1.0, 0.0]]))
    )
    assert one == pytest.approx(two, rel=1e-12)


def test_single_precision_keeps_small_coordinates():
    cov, w = (jnp.array([1.0, s], jnp.float32) for s in (1e-6, 1e6))
    found = theory.optimal_risk(law(cov, w, 50, 0.1))
    assert float(found) == pytest.approx(0.1136, rel=1e-3)


# Against exact rational numbers, on diagonal covariances.


def rational_risk(cov, w, n, noise):
    """P − Σ u²/(λ b) with u = λ²w and b = (1 + 1/n) u + (P + σ²) λ/n, as fractions."""
    cov, w, noise = (
        [Fraction(v) for v in cov],
        [Fraction(v) for v in w],
        Fraction(noise),
    )
    power = sum(a * b for a, b in zip(cov, w, strict=True))
    total = Fraction(0)
    for a, b in zip(cov, w, strict=True):
        u = a * a * b
        total += u * u / (a * ((1 + Fraction(1, n)) * u + (power + noise) * a / n))
    return power - total


@pytest.mark.parametrize("seed", range(40))
def test_risks_equal_rational_arithmetic_over_24_decades(seed):
    rng = np.random.default_rng(seed)
    dim, n = int(rng.integers(1, 7)), int(10 ** rng.uniform(0, 9))
    cov, w = (10 ** rng.uniform(-12, 12, dim) for _ in range(2))
    sigma = float(rng.choice([0.0, 10 ** rng.uniform(-6, 6)]))
    found = theory.optimal_risk(law(cov, w, n, sigma))
    right = rational_risk(cov, w, n, Fraction(sigma) ** 2)
    assert found == pytest.approx(float(right), rel=1e-10)


# A change of units: x → D x, w → D⁻¹ w, y → c y.


def rescaled(prompts, units, c):
    """The same distribution with x in `units` and labels times `c`."""
    old, t = prompts.covariates, prompts.tasks
    x = {
        Gaussian: lambda: Gaussian(old.cov * np.outer(units, units)),
        StudentT: lambda: StudentT(old.cov * np.outer(units, units), old.degrees),
        Data: lambda: Data(old.rows * units),
    }[type(old)]()
    return prompts.replace(
        covariates=x, tasks=_moved(t, units, c), noise_std=c * prompts.noise_std
    )


def _moved(t, units, c):
    inverse = np.outer(1 / units, 1 / units)
    if isinstance(t, Mixture):
        return Mixture([_moved(part, units, c) for part in t.components], t.weights)
    if isinstance(t, LowRank):
        return _moved(t.as_mixture(), units, c)
    return {
        Linear: lambda: Linear(c**2 * t.cov * inverse, c * t.mean / units),
        LinearPool: lambda: LinearPool(c * t.vectors / units, t.weights),
        ReluNeuron: lambda: ReluNeuron(c**2 * t.cov * inverse, t.slope, t.random_sign),
        TwoLayerRelu: lambda: TwoLayerRelu(t.cov * inverse, t.width, c * t.scale),
        GaussianProcess: lambda: GaussianProcess(t.metric * inverse, c**2 * t.variance),
        FourierFeatures: lambda: FourierFeatures(
            t.frequencies / units, c**2 * t.variance
        ),
        Projected: lambda: Projected(
            _moved(t.tasks, np.ones(t.tasks.dim), c), t.basis / units[:, None]
        ),
    }[type(t)]()


MOVABLE = [
    *(
        name
        for name in helpers.TASKS
        if not name.startswith("sparse") and name != "polynomial"
    ),
    "projected",
]


def build(name, dim):
    if name == "projected":
        basis = helpers.spd(dim, 31)[:, : max(1, dim - 1)]
        return Projected(ReluNeuron(helpers.spd(basis.shape[1], 32)), basis)
    return helpers.TASKS[name](dim)


FEW = 3 * len(MOVABLE)  # every family with every kind of covariates; CI runs more


@pytest.mark.parametrize("seed", helpers.mostly_in_ci(range(200), keep=range(FEW)))
def test_risks_do_not_depend_on_units(seed):
    rng = np.random.default_rng(1000 + seed)
    dim, n = int(rng.integers(2, 5)), int(rng.integers(1, 30))
    choices = [
        Gaussian(helpers.spd(dim, seed)),
        StudentT(helpers.spd(dim, seed), 9.0),
        Data(rng.normal(0.3, 1.0, (dim + 4, dim))),
    ]
    tasks = build(MOVABLE[seed % len(MOVABLE)], dim)
    covariates = choices[seed // len(MOVABLE) % 3]
    try:
        theory.moments(tasks, covariates)
    except AssumptionError:
        covariates = choices[0]
    sigma = float(rng.choice([0.0, 0.5]))
    prompts = PromptDistribution(covariates, tasks, n, sigma)
    units, c = 10 ** rng.uniform(-6, 6, dim), 10 ** rng.uniform(-6, 6)
    other = rescaled(prompts, units, c)
    lengths = np.array([1, 3, 100])
    questions = {
        "zero": theory.zero_risk,
        "least": theory.optimal_risk,
        "at lengths": lambda p: theory.context_length_risks(p, lengths),
        "retrained": lambda p: theory.context_length_risks(p, lengths, True),
        "no context": theory.no_context_risk,
        "Bayes": theory.bayes_risk,
        "heads": lambda p: theory.multi_head_optimum(p).risk,
    }
    if seed % 5 == 0:
        questions["head"] = lambda p: theory.optimal_attention(p, starts=3).risk
    power, answered = None, 0
    for name, question in questions.items():
        try:
            here = question(prompts)
        except AssumptionError:
            with pytest.raises(AssumptionError):
                question(other)
            continue
        power = here if power is None else power
        there = question(other) / c**2
        np.testing.assert_allclose(there, here, atol=1e-7 * power, err_msg=name)
        answered += 1
    assert answered >= 1


# The one solve, the one root and the one cut-off.


def spread(dim, seed, decades=12):
    return 10 ** np.random.default_rng(seed).uniform(-decades / 2, decades / 2, dim)


@pytest.mark.parametrize("rank", [1, 2, 3, 4])
def test_solve_and_roots_are_right_at_any_scale_and_rank(rank):
    cov = helpers.spd(4, 41, rank if rank < 4 else None)
    units = spread(4, rank)
    matrix = cov * np.outer(units, units)
    assert num_directions(matrix) == rank
    right = cov @ np.arange(1.0, 9.0).reshape(4, 2)
    found = psd_solve(matrix, right * units[:, None]) * units[:, None]
    np.testing.assert_allclose(cov @ found, right, rtol=1e-10)
    if rank == 4:
        np.testing.assert_allclose(found, np.linalg.solve(cov, right), rtol=1e-9)
    roots = psd_roots(matrix)
    for factor in (roots.root, covariance_root(matrix), psd_root(matrix)):
        plain = factor / units[:, None]
        np.testing.assert_allclose(plain @ plain.T, cov, atol=1e-12)
    np.testing.assert_allclose(roots.whitener @ roots.root, np.eye(rank), atol=1e-9)
    inverse = psd_inverse(matrix) * np.outer(units, units)
    np.testing.assert_allclose(cov @ inverse @ cov, cov, atol=1e-10)


def test_traced_arrays_solve_as_numpy_does():
    cov, units = helpers.spd(4, 42), spread(4, 5, 8)
    matrix, right = cov * np.outer(units, units), units[:, None] * np.eye(4)
    found = jax.jit(psd_solve)(jnp.asarray(matrix), jnp.asarray(right))
    np.testing.assert_allclose(found, psd_solve(matrix, right), rtol=1e-9)
    roots = jax.jit(psd_roots)(jnp.asarray(matrix))
    plain = np.asarray(roots.root) / units[:, None]
    np.testing.assert_allclose(plain @ plain.T, cov, atol=1e-12)


def test_numbers_between_zero_and_real_are_refused():
    """1 − ρ² of a few hundred ε: a real direction, or the round-off of none?"""
    rho = 1 - 200 * np.finfo(float).eps
    with pytest.raises(AssumptionError, match="tell apart"):
        psd_solve(np.array([[1.0, rho], [rho, 1.0]]), np.eye(2))
    exact = np.array([[1.0, 1.0], [1.0, 1.0]])
    np.testing.assert_allclose(psd_solve(exact, exact), [[0.5, 0.5]] * 2)


def test_what_is_left_out_and_how_many_digits_are_lost_is_known():
    m = theory.prompt_moments(law([1.0, 0.0], [1.0, 1.0], 5))
    assert m.dropped_directions == (1, 1)
    cov = np.array([[1.0, 1 - 1e-6], [1 - 1e-6, 1.0]])
    m = theory.prompt_moments(law(cov, np.eye(2), 5))
    assert m.dropped_directions == (0, 0)
    assert 2e6 < m.condition_number < 1e8
    assert theory.prompt_moments(law([1.0, 1e-9], [1, 1], 5)).condition_number < 10


@pytest.mark.parametrize(
    "matrix",
    [
        [[1e8, 2.0], [2.0, 1e-8]],  # |ρ| = 2
        [[1.0, 1e-9], [1e-8, 1e-16]],  # not symmetric on its own scale
        [[1.0, 1e-12], [1e-12, 0.0]],  # a constant that varies with another
    ],
)
def test_validity_is_checked_on_the_scale_of_each_entry(matrix):
    with pytest.raises(SettingError, match="symmetric|negative eigenvalue"):
        as_covariance(matrix, "cov")


def test_valid_matrices_of_mixed_scales_are_accepted():
    units = spread(4, 6, 24)
    as_covariance(helpers.spd(4, 43) * np.outer(units, units), "cov")
