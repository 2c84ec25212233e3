"""Kernels of task distributions, and moments as finite averages over data."""

from collections.abc import Iterator
from functools import singledispatch
from math import comb

import numpy as np
from jaxtyping import Float

from .._arrays import Array, namespace
from .._errors import AssumptionError
from ..covariates import Data
from ..tasks import (
    Conjunction,
    DecisionTree,
    Disjunction,
    FourierFeatures,
    GaussianProcess,
    KernelProcess,
    Linear,
    LinearPool,
    LowRank,
    Mixture,
    Parity,
    Polynomial,
    Projected,
    Quadratic,
    ReluNeuron,
    SparseLinear,
    SparseParity,
    TaskDistribution,
    TwoLayerRelu,
)
from ._moments_closed import Moments

_BLOCK = 512  # rows of the kernel matrix that are held at a time


@singledispatch
def task_kernel(
    tasks: TaskDistribution, xs: Float[Array, "m d"], zs: Float[Array, "p d"]
) -> Float[Array, "m p"]:
    """The kernel $k(x, z) = E_f[f(x) f(z)]$ at each row of `xs` and of `zs`.

    All that a GD-form layer sees of a task distribution. Raises `AssumptionError`
    where no closed form is known.
    """
    raise AssumptionError(
        f"the kernel of {type(tasks).__name__} tasks",
        "a closed form for E f(x) f(x')",
        "estimate moments with standard errors: iclax.evaluation.simulate_moments",
    )


@task_kernel.register(Linear)
@task_kernel.register(LowRank)
@task_kernel.register(LinearPool)
@task_kernel.register(SparseLinear)
def _(tasks: Linear | LowRank | LinearPool | SparseLinear, xs: Array, zs: Array):
    return xs @ tasks.weight_second_moment @ zs.T


@task_kernel.register
def _(tasks: Mixture, xs: Array, zs: Array):
    pairs = zip(tasks.weights, tasks.components, strict=True)
    return sum(weight * task_kernel(part, xs, zs) for weight, part in pairs)


@task_kernel.register
def _(tasks: ReluNeuron, xs: Array, zs: Array):
    r"""φ(t) = ((1 + a) t + (1 − a) |t|)/2: the linear kernel and that of |w·x| add up,
    $E|s||s'| = \frac2\pi (\sqrt{v v' - c^2} + c \arcsin \frac{c}{\sqrt{v v'}})$ (Cho
    and Saul, 2009).
    """
    xp, slope = namespace(xs, zs, tasks.cov), tasks.slope
    cross = xs @ tasks.cov @ zs.T
    first = xp.sum((xs @ tasks.cov) * xs, axis=1)
    second = xp.sum((zs @ tasks.cov) * zs, axis=1)
    size = xp.sqrt(first[:, None] * second[None, :])
    cosine = xp.clip(cross / xp.where(size > 0, size, 1.0), -1.0, 1.0)
    flat = xp.sqrt(1 - cosine**2) + cosine * xp.arcsin(cosine)
    even = 2 / np.pi * size * flat
    return (1 + slope) ** 2 / 4 * cross + (1 - slope) ** 2 / 4 * even


@task_kernel.register
def _(tasks: TwoLayerRelu, xs: Array, zs: Array):
    return tasks.scale**2 * task_kernel(ReluNeuron(tasks.cov), xs, zs)


@task_kernel.register(GaussianProcess)
@task_kernel.register(KernelProcess)
def _(tasks: GaussianProcess | KernelProcess, xs: Array, zs: Array):
    return tasks.kernel(xs, zs)


@task_kernel.register
def _(tasks: Polynomial, xs: Array, zs: Array):
    inner = xs @ zs.T
    return sum(c * inner**p for p, c in tasks.coefficients.items())


@task_kernel.register
def _(tasks: FourierFeatures, xs: Array, zs: Array):
    xp = namespace(xs, zs)
    first, second = xs @ tasks.frequencies.T, zs @ tasks.frequencies.T
    waves = xp.cos(first) @ xp.cos(second).T + xp.sin(first) @ xp.sin(second).T
    return tasks.variance / len(tasks.frequencies) * waves


@task_kernel.register
def _(tasks: Quadratic, xs: Array, zs: Array):
    xp = namespace(xs, zs)
    sums = xp.outer(xp.sum(xs, axis=1) ** 2, xp.sum(zs, axis=1) ** 2)
    return ((xs @ zs.T) ** 2 + tasks.mean**2 * sums) / tasks.dim


@task_kernel.register
def _(tasks: Projected, xs: Array, zs: Array):
    return task_kernel(tasks.tasks, xs @ tasks.basis, zs @ tasks.basis)


@task_kernel.register
def _(tasks: SparseParity, xs: Array, zs: Array):
    r"""The mean of $\prod_{i \in A} x_i z_i$, where x and z agree in s coordinates: the
    coefficient of $t^{|A|}$ in $(1 + t)^s (1 - t)^{d - s}$ over that for s = d.
    """
    agreeing, d, size = _agreements(xs, zs), tasks.dim, tasks.size
    table = [
        sum((-1) ** j * comb(d - s, j) * comb(s, size - j) for j in range(size + 1))
        for s in range(d + 1)
    ]
    return np.array(table)[agreeing] / comb(d, size)


@task_kernel.register
def _(tasks: Parity, xs: Array, zs: Array):
    """All subsets at once: 1 where x = z, else 0."""
    return (_agreements(xs, zs) == tasks.dim) * 1.0


@task_kernel.register(Conjunction)
@task_kernel.register(Disjunction)
def _(tasks: Conjunction | Disjunction, xs: Array, zs: Array):
    """f = 2h − 1 with h the indicator: 4 P(both hold) − 4 P(one holds) + 1."""
    d, p = tasks.dim, tasks.literal_probability
    agreeing = _agreements(xs, zs)
    both = (1 - p / 2) ** agreeing * (1 - p) ** (d - agreeing)
    return 4 * both - 4 * (1 - p / 2) ** d + 1


@task_kernel.register
def _(tasks: DecisionTree, xs: Array, zs: Array):
    """x and z share a leaf if every coordinate on the path has one sign on both."""
    sides = [np.where(np.asarray(v) > 0, 1.0, -1.0) for v in (xs, zs)]
    share = (_agreements(*sides) / tasks.dim) ** tasks.depth
    return tasks.leaf_mean**2 + tasks.leaf_std**2 * share


def _agreements(xs: Array, zs: Array) -> np.ndarray:
    """The number of equal coordinates of points in {±1}^d."""
    xs, zs = np.asarray(xs), np.asarray(zs)
    if not (np.all(np.abs(xs) == 1) and np.all(np.abs(zs) == 1)):
        raise AssumptionError(
            "the kernel of a Boolean task", "points in {±1}^d", "threshold the data"
        )
    return np.rint((xs.shape[1] + xs @ zs.T) / 2).astype(int)


def kernel_moments(tasks: TaskDistribution, data: Data) -> Moments:
    """`moments` under empirical covariates: averages over rows and pairs of rows."""
    rows, signal = data.rows, 0.0
    for start, block in _blocks(tasks, rows, rows):
        signal = signal + rows[start : start + len(block)].T @ (block @ rows)
    power = diagonal(tasks, rows)
    return Moments(
        signal / len(rows) ** 2,
        (rows.T * power) @ rows / len(rows),
        np.mean(power),
    )


def kernel_cross(
    tasks: TaskDistribution, data: Data, query: Data
) -> Float[Array, "d d"]:
    r"""$E[k(x, x_q) x x_q^T]$ for two sets of points: an average over all pairs."""
    total = 0.0
    for start, block in _blocks(tasks, data.rows, query.rows):
        held = data.rows[start : start + len(block)]
        total = total + held.T @ (block @ query.rows)
    return total / (len(data.rows) * len(query.rows))


def kernel_squares(tasks: TaskDistribution, data: Data) -> tuple[float, float]:
    r"""$E k(x, x')^2$ and $E k(x, x)^2$ over the rows."""
    total = sum(np.sum(b**2) for _, b in _blocks(tasks, data.rows, data.rows))
    return total / len(data.rows) ** 2, np.mean(diagonal(tasks, data.rows) ** 2)


def diagonal(tasks: TaskDistribution, rows: Float[Array, "m d"]) -> Float[Array, " m"]:
    """k(x, x) at each row."""
    parts = [rows[i : i + _BLOCK] for i in range(0, len(rows), _BLOCK)]
    return np.concatenate([np.diagonal(task_kernel(tasks, x, x)) for x in parts])


def _blocks(
    tasks: TaskDistribution, xs: np.ndarray, zs: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """The kernel matrix, some rows at a time, with the number of the first."""
    for start in range(0, len(xs), _BLOCK):
        yield start, task_kernel(tasks, xs[start : start + _BLOCK], zs)
