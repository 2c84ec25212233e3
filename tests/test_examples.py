"""The example settings: `iclax theory` against a second derivation and simulation."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import jax.random as jr
import numpy as np
import pytest

from iclax.cli import main
from iclax.evaluation import simulate_risks
from iclax.models import LinearAttention
from iclax.settings import load_setting

EXAMPLES = Path(__file__).parents[1] / "examples"
SETTINGS = [*sorted((EXAMPLES / "settings").glob("*.toml"))]
SETTINGS.append(EXAMPLES / "diabetes" / "setting.toml")


def enumerated(nodes, weights, root, length):
    """E x xᵀ and E x xᵀ S x xᵀ-like sums by adding up every context there is.

    Returns S -> (E g wᵀ, E g gᵀ without noise) of g = (1/n) Σ_i x_i (x_iᵀ w).
    """
    dim = len(root)
    points = np.array(list(itertools.product(nodes, repeat=dim))) @ root.T
    masses = np.prod(list(itertools.product(weights, repeat=dim)), axis=1)
    cov = np.einsum("k,ki,kj->ij", masses, points, points)

    def moments(task):
        cross, square = np.zeros((dim, dim)), np.zeros((dim, dim))
        for chosen in itertools.product(range(len(points)), repeat=length):
            xs = points[list(chosen)]
            mass = np.prod(masses[list(chosen)])
            step = xs.T @ xs / length
            cross += mass * step @ task
            square += mass * step @ task @ step
        return cross, square

    return cov, moments


def least(cov, cross, square, noise, length, power):
    """Minimizer and minimum of tr Λ(Γ M Γᵀ − 2 Γ C) + E f², M with the noise added."""
    total = square + noise * cov / length
    gamma = np.linalg.solve(total.T, cross).T
    return gamma, power + np.trace(cov @ (gamma @ total @ gamma.T - 2 * gamma @ cross))


def gaussian(cov, task, noise, length):
    # Three Gauss-Hermite nodes are exact for the fourth powers that occur.
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    root = np.linalg.cholesky(cov)
    cov, moments = enumerated(nodes, weights / weights.sum(), root, length)
    return least(cov, *moments(task), noise, length, np.trace(cov @ task))


def isotropic():
    n, d, noise = 20, 5, 0.25
    step = 1 / (n + d + 1 + noise)
    return n * step * np.eye(d), d - d * n * step


def preconditioned():
    cov = np.array([[3.0, 1.0], [1.0, 0.6]])
    return gaussian(cov, np.linalg.inv(cov), 0.16, 3)


def mixture():
    mean = np.array([0.5, -1.0])
    task = 0.75 * np.diag([1.0, 0.2])
    task += 0.25 * (np.ones((2, 2)) + np.outer(mean, mean))
    return gaussian(np.diag([1.0, 0.5]), task, 0.09, 4)


def rademacher():
    task = np.diag([2.0, 1.0, 0.5])
    cov, moments = enumerated([-1.0, 1.0], [0.5, 0.5], np.eye(3), 3)
    return least(cov, *moments(task), 0.04, 3, np.trace(task))


def relu():
    # On half of the space relu(w·x) is w·x: E f x = w/2, E f² xxᵀ = wwᵀ + |w|²I/2.
    n, d, noise = 10, 3, 0.01
    cross, square = 1 / 4, (n - 1) / (4 * n) + (1 + d / 2) / n
    gamma = cross / (square + noise / n)
    return gamma * np.eye(d), d / 2 - d * gamma * cross


def setting():
    from sklearn.datasets import load_diabetes
    from sklearn.preprocessing import StandardScaler

    rows = StandardScaler().fit_transform(load_diabetes().data)
    task, n = 0.1 * np.eye(10), 40
    steps = np.einsum("ki,kj->kij", rows, rows)
    cov = steps.mean(axis=0)
    same = (steps @ task @ steps).mean(axis=0)
    square = (n - 1) / n * cov @ task @ cov + same / n
    return least(cov, cov @ task, square, 0.25, n, np.trace(cov @ task))


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: path.stem)
def test_theory_equals_a_second_derivation(path, capsys):
    main(["theory", str(path), "--json"])
    found = json.loads(capsys.readouterr().out)
    gamma, risk = globals()[path.stem]()
    scale = np.abs(gamma).max()
    np.testing.assert_allclose(found["gamma"], gamma, rtol=1e-10, atol=1e-10 * scale)
    np.testing.assert_allclose(found["risk"], risk, rtol=1e-10)


@pytest.mark.parametrize(
    "num_prompts", [2**15, pytest.param(2 * 10**6, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: path.stem)
def test_theory_equals_simulation(path, num_prompts, capsys):
    main(["theory", str(path), "--json"])
    found = json.loads(capsys.readouterr().out)
    prompts = load_setting(path).prompts()
    predictors = {
        "risk": LinearAttention.from_preconditioner(np.array(found["gamma"])),
        "gd_risk": LinearAttention.from_preconditioner(
            found["gd_step"] * np.eye(prompts.dim)
        ),
    }
    simulated = simulate_risks(
        predictors, prompts, num_prompts=num_prompts, key=jr.key(1)
    )
    for name, estimate in simulated.items():
        assert estimate.deviation(found[name]) < 3, (name, estimate, found[name])


@pytest.mark.slow
@pytest.mark.parametrize("path", SETTINGS[:5], ids=lambda path: path.stem)
def test_theory_takes_at_most_a_second(path):
    import time

    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "iclax", "theory", str(path)],
            check=True,
            capture_output=True,
        )
        times.append(time.perf_counter() - began)
    assert np.median(times) <= 1.0
