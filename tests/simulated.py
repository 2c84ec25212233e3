"""Risks by plain NumPy simulation: an oracle that shares no code with the library."""

import numpy as np


def gd_risk(gamma, tasks, cov, n, noise_std, *, seed, num=40_000):
    """Mean and standard error of the squared error of ŷ = x_qᵀ Γ (1/n) Σ y_i x_i.

    `tasks(rng, num)` draws task vectors, (num, d); x ~ N(0, diag(`cov`)).
    """
    rng = np.random.default_rng(seed)
    d = len(cov)
    w = tasks(rng, num)
    xs = rng.standard_normal((num, n + 1, d)) * np.sqrt(cov)
    values = np.einsum("mnd,md->mn", xs, w)
    labels = values[:, :n] + noise_std * rng.standard_normal((num, n))
    b = np.einsum("mn,mnd->md", labels, xs[:, :n]) / n
    errors = (np.einsum("md,de,me->m", xs[:, n], gamma, b) - values[:, n]) ** 2
    return errors.mean(), errors.std() / num**0.5


def low_rank_tasks(basis):
    """Task vectors `basis` ξ, ξ ~ N(0, I)."""
    return lambda rng, num: rng.standard_normal((num, basis.shape[1])) @ basis.T
