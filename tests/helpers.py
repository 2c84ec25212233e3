"""Registries of every law, and two oracles that share nothing with the theory code."""

from itertools import product
from math import prod

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from iclax import covariates as laws, tasks as families, theory
from iclax.prompts import Prompt, PromptDistribution


def spd(dim: int, seed: int, rank: int | None = None) -> np.ndarray:
    """A random anisotropic covariance matrix, of low rank if asked for."""
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((dim, dim if rank is None else rank))
    return factor @ factor.T / factor.shape[1] + (0.3 * np.eye(dim) if not rank else 0)


def vector(dim: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(dim)


def mostly_in_ci(values, keep):
    """Parameters of a test: all but those to `keep` are run in CI only (`-m ci`)."""
    ci = pytest.mark.ci
    return [v if v in keep else pytest.param(v, marks=ci) for v in values]


COVARIATES = {
    "gaussian": lambda d: laws.Gaussian(spd(d, 1)),
    "student_t": lambda d: laws.StudentT(spd(d, 2), 30.0),
    "uniform": lambda d: laws.Uniform(spd(d, 3)),
    "rademacher": lambda d: laws.Rademacher(spd(d, 4)),
    "data": lambda d: laws.Data(np.random.default_rng(5).normal(0.3, 1.0, (4, d))),
}

# Each builder takes the dimension; the covariates may be any Gaussian ones.
TASKS = {
    "linear": lambda d: families.Linear(spd(d, 11)),
    "linear_mean": lambda d: families.Linear(spd(d, 12), vector(d, 13)),
    "linear_low_rank_mean": lambda d: families.Linear(spd(d, 14, 1), vector(d, 15)),
    "mixture": lambda d: families.Mixture(
        [
            families.Linear(spd(d, 16, 1), vector(d, 17)),
            families.Linear(spd(d, 18), -2 * vector(d, 19)),
        ],
        [0.3, 0.7],
    ),
    "low_rank": lambda d: families.LowRank.coordinates(d, 1, 2, floor=0.1),
    "relu": lambda d: families.ReluNeuron(spd(d, 20)),
    "leaky_relu_sign": lambda d: families.ReluNeuron(spd(d, 21), 0.3, True),
    "two_layer_relu": lambda d: families.TwoLayerRelu(spd(d, 22), 5, 1.3),
    "gaussian_process": lambda d: families.GaussianProcess(spd(d, 23), 1.7),
    "polynomial": lambda d: families.Polynomial(d, {1: 0.5, 2: 0.3, 3: 0.2}),
    "linear_pool": lambda d: families.LinearPool(
        np.random.default_rng(27).standard_normal((4, d)), [0.1, 0.2, 0.3, 0.4]
    ),
    "sparse_linear": lambda d: families.SparseLinear(d, min(2, d)),
    "sparse_linear_mean": lambda d: families.SparseLinear(d, min(2, d), 0.7),
    "fourier_features": lambda d: families.FourierFeatures.random(d, 5, 1.3, 1.7),
    "mixture_of_classes": lambda d: families.Mixture(
        [
            families.ReluNeuron(spd(d, 24), 0.1),
            families.Linear(spd(d, 25), vector(d, 26)),
            families.GaussianProcess.rbf(d, 1.5),
        ],
        [0.5, 0.2, 0.3],
    ),
}
_POOL = np.random.default_rng(28).standard_normal((3, 8))

# All families, each with the points that it takes: any, corners of the cube, or keys.
# "symmetric" and "round" are what is true of the draws; a claim may also be None.
FAMILIES = {name: (build, "any") for name, build in TASKS.items()} | {
    "isotropic": (lambda d: families.Linear(np.eye(d)), "any"),
    "mean_only": (lambda d: families.Linear(np.zeros((d, d)), np.ones(d)), "any"),
    "mirrored_mixture": (
        lambda d: families.Mixture(
            [families.Linear(spd(d, 1), s * vector(d, 2)) for s in (1, -1)]
        ),
        "any",
    ),
    "subspaces": (lambda d: families.LowRank.random(d, 1, 2, seed=3), "any"),
    "mirrored_pool": (
        lambda d: families.LinearPool(np.concatenate([_POOL, -_POOL])[:, :d]),
        "any",
    ),
    "dense_sparse": (lambda d: families.SparseLinear(d, d), "any"),
    "absolute_value": (lambda d: families.ReluNeuron(np.eye(d), -1.0), "any"),
    "linear_neuron": (lambda d: families.ReluNeuron(spd(d, 4), 1.0), "any"),
    "round_network": (lambda d: families.TwoLayerRelu(np.eye(d), 3), "any"),
    "round_process": (lambda d: families.GaussianProcess.rbf(d, 1.2), "any"),
    "own_kernel": (
        lambda d: families.KernelProcess(d, lambda x, z: (x @ z.T + 1.0) ** 2),
        "any",
    ),
    "quadratic": (lambda d: families.Quadratic(d), "any"),
    "quadratic_mean": (lambda d: families.Quadratic(d, 0.8), "any"),
    "projected": (
        lambda d: families.Projected(families.ReluNeuron(np.eye(1)), np.ones((d, 1))),
        "any",
    ),
    "projected_linear": (
        lambda d: families.Projected(
            families.Linear(np.eye(1), np.ones(1)), np.ones((d, 1))
        ),
        "any",
    ),
    "tree": (lambda d: families.DecisionTree(d, 2), "any"),
    "tree_mean": (lambda d: families.DecisionTree(d, 3, 0.7, 1.2), "any"),
    "tree_and_linear": (
        lambda d: families.Mixture(
            [families.DecisionTree(d, 2, 0.5), families.Linear(np.eye(d), np.ones(d))]
        ),
        "any",
    ),
    "sparse_parity_1": (lambda d: families.SparseParity(d, 1), "cube"),
    "sparse_parity": (lambda d: families.SparseParity(d, d), "cube"),
    "parity": (lambda d: families.Parity(d), "cube"),
    "conjunction": (lambda d: families.Conjunction(d, 0.4), "cube"),
    "disjunction": (lambda d: families.Disjunction(d, 0.4), "cube"),
    "boolean_mixture": (
        lambda d: families.Mixture([families.Conjunction(d), families.Parity(d)]),
        "cube",
    ),
    "retrieval": (lambda d: families.Retrieval.random(d, 4, 3, 1.0), "keys"),
    "mirrored_retrieval": (
        lambda d: families.Retrieval(spd(d, 6), np.tile([-1.0, 1.0], (d, 1))),
        "keys",
    ),
}


def points_of(tasks, domain: str) -> np.ndarray:
    """Some points of the domain on which a family is defined."""
    if domain == "keys":
        return tasks.keys
    if domain == "cube":
        return np.array(list(product([-1.0, 1.0], repeat=tasks.dim)))
    return np.array([[1.0, 0.1], [-0.1, 1.0], [0.3, -1.2], [0.9, 1.1]])[:, : tasks.dim]


LINEAR_TASKS = (
    "linear",
    "linear_mean",
    "linear_low_rank_mean",
    "mixture",
    "low_rank",
)


# Compiling costs far more than running at test sizes: skip LLVM's optimizations.
QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}


def simulate(terms, prompts: PromptDistribution, key, num: int, batch: int = 20_000):
    """Mean and standard error of `terms(prompt)` over at least `num` prompts."""

    def one(batch_key):
        drawn = jax.vmap(prompts.sample)(jr.split(batch_key, batch))
        values = jax.vmap(terms)(drawn)
        return jnp.mean(values, 0), jnp.mean(values**2, 0)

    keys = jr.split(key, -(-num // batch))
    run = jax.jit(one, compiler_options=QUICK)
    mean, square = (np.mean(v, 0) for v in zip(*map(run, keys), strict=True))
    return mean, np.sqrt((square - mean**2) / (len(keys) * batch))


def attention(a, q, prompt: Prompt, *, include_query=False, divisor=None):
    """ŷ of linear attention, written out from its definition for one prompt."""
    tokens = jnp.concatenate([prompt.xs, prompt.ys[:, None]], axis=1)
    query = jnp.concatenate([prompt.query, jnp.zeros(1)])
    gram = tokens.T @ tokens
    if include_query:
        gram = gram + jnp.outer(query, query)
    divisor = len(prompt.ys) if divisor is None else divisor
    return jnp.einsum("hs,st,htd,d->", a, gram, q, prompt.query) / divisor


def exact_mean(terms, prompts: PromptDistribution, nodes: int = 3):
    """The mean of polynomials of a prompt by product quadrature: no sampling error.

    Exact up to degree 2 · `nodes` − 1 in each underlying scalar variable: Gauss–Hermite
    nodes for Gaussian ones, Gauss–Legendre for uniform ones, every value of discrete
    ones. For linear tasks and their mixtures; the cost grows as nodes^(dn + 2d + n).
    """
    total = 0.0
    for share, task in _linear_components(prompts.tasks):
        total += share * _component_mean(terms, prompts, task, nodes)
    return total


def _component_mean(terms, prompts, task, nodes):
    n, query_law = prompts.context_length, prompts.query_covariates
    normal = _gauss_hermite(nodes)
    factor = _factor(task.cov)
    axes = [_point_rule(prompts.covariates, nodes)] * n
    axes += [_point_rule(query_law or prompts.covariates, nodes)]
    axes += [_grid([normal] * factor.shape[1])]
    axes += [_grid([normal] * n if prompts.noise_std > 0 else [])]
    points, weights = zip(*axes, strict=True)
    index = np.indices([len(w) for w in weights]).reshape(len(axes), -1)
    weight = prod(w[i] for w, i in zip(weights, index, strict=True))
    xs = np.stack([points[j][index[j]] for j in range(n)], 1)
    query = points[n][index[n]]
    w = task.mean + points[n + 1][index[n + 1]] @ factor.T
    noise = prompts.noise_std * points[n + 2][index[n + 2]]
    ys = np.einsum("mnd,md->mn", xs, w) + (noise if prompts.noise_std > 0 else 0)
    target = np.sum(query * w, 1)
    values = jax.jit(jax.vmap(terms), compiler_options=QUICK)(
        Prompt(*map(jnp.asarray, (xs, ys, query, target, target)))
    )
    return weight @ np.asarray(values)


def _linear_components(tasks):
    if isinstance(tasks, families.LowRank):
        tasks = tasks.as_mixture()
    if isinstance(tasks, families.Mixture):
        for share, part in zip(tasks.weights, tasks.components, strict=True):
            for inner, leaf in _linear_components(part):
                yield share * inner, leaf
    else:
        yield 1.0, tasks


def exact_mean_on_data(terms, prompts: PromptDistribution, nodes: int = 3) -> float:
    """`exact_mean` for Gaussian-process tasks on `Data` covariates.

    The values of f at the rows are jointly Gaussian, so that they, the rows in the
    context, the query and the noise are all enumerated.
    """
    rows, n = prompts.covariates.rows, prompts.context_length
    gram = np.asarray(theory.task_kernel(prompts.tasks, rows, rows))
    factor, normal = _factor(gram), _gauss_hermite(nodes)
    which = np.full(len(rows), 1 / len(rows))
    axes = [(np.arange(len(rows)), which)] * (n + 1)
    axes += [_grid([normal] * factor.shape[1]), _grid([normal] * n)]
    points, weights = zip(*axes, strict=True)
    index = np.indices([len(w) for w in weights]).reshape(len(axes), -1)
    weight = prod(w[i] for w, i in zip(weights, index, strict=True))
    chosen, query = index[:n].T, index[n]
    values = points[n + 1][index[n + 1]] @ factor.T
    noise = prompts.noise_std * points[n + 2][index[n + 2]]
    ys = np.take_along_axis(values, chosen, 1) + noise
    target = values[np.arange(len(values)), query]
    grid = Prompt(*map(jnp.asarray, (rows[chosen], ys, rows[query], target, target)))
    found = jax.jit(jax.vmap(terms), compiler_options=QUICK)(grid)
    return float(np.sum(weight * np.asarray(found)))


def quadrature_moments(tasks, law, nodes: int = 3):
    """U, V and P from the kernel alone, by quadrature over x and x'."""
    points, weights = _point_rule(law, nodes)
    gram = np.asarray(theory.task_kernel(tasks, points, points))
    weighted = points * weights[:, None]
    power = np.diagonal(gram)
    return (
        weighted.T @ gram @ weighted,
        (weighted.T * power) @ points,
        weights @ power,
    )


def _factor(cov: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(cov)
    keep = values > 1e-12
    return vectors[:, keep] * np.sqrt(values[keep])


def _gauss_hermite(nodes: int):
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    return points, weights / weights.sum()


def _point_rule(law, nodes: int):
    """Points in R^d and weights that integrate polynomials against a covariate law."""
    if isinstance(law, laws.Data):
        return law.rows, np.full(len(law.rows), 1 / len(law.rows))
    if isinstance(law, laws.Gaussian):
        rule = _gauss_hermite(nodes)
    elif isinstance(law, laws.Uniform):
        points, weights = np.polynomial.legendre.leggauss(nodes)
        rule = 3**0.5 * points, weights / 2
    else:
        rule = np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    points, weights = _grid([rule] * law.dim)
    values, vectors = np.linalg.eigh(law.cov)
    return points @ (vectors * np.sqrt(values)) @ vectors.T, weights


def _grid(rules):
    points = np.array(list(product(*(p for p, _ in rules))))
    weights = np.array([prod(w) for w in product(*(w for _, w in rules))])
    return points, weights
