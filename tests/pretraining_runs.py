"""Ridgeless and ridge pre-training by brute force, for the proportional-limit tests."""

import numpy as np

from iclax.theory import rectangular_risk


def pretrain(dim, loads, *, cov_root=None, seed=0):
    """One run: Γ (d × (d + 1)) and the pool of tasks it was trained on.

    Tasks are `cov_root` z, or uniform on the sphere of radius √d where left out.
    """
    rng = np.random.default_rng(seed)
    length, count = round(loads.context * dim), round(loads.prompts * dim**2)
    pool = rng.standard_normal((round(loads.tasks * dim), dim))
    if cov_root is None:
        pool *= dim**0.5 / np.linalg.norm(pool, axis=1, keepdims=True)
    else:
        pool = pool @ cov_root.T
    w = pool[rng.integers(len(pool), size=count)]
    query, h = np.empty((count, dim)), np.empty((count, dim + 1))
    target = np.empty(count)
    for chunk in np.array_split(
        np.arange(count), max(1, count * length * dim // 10**7)
    ):
        x = rng.standard_normal((len(chunk), length + 1, dim)) / dim**0.5
        y = np.einsum("mnd,md->mn", x, w[chunk])
        y += loads.noise_variance**0.5 * rng.standard_normal(y.shape)
        h[chunk, :dim] = np.einsum("mn,mnd->md", y[:, :-1], x[:, :-1]) * dim / length
        h[chunk, dim] = np.mean(y[:, :-1] ** 2, axis=1)
        query[chunk], target[chunk] = x[:, -1], y[:, -1]
    ridge = count / dim * loads.ridge
    return _fit(query, h, target, ridge), pool


def _fit(query, h, target, ridge):
    """The ridge (or least-norm) solution in the features x_q ⊗ h."""
    count, width = len(target), query.shape[1] * h.shape[1]
    if count < width:  # the kernel of the features, without the features
        gram = (query @ query.T) * (h @ h.T)
        gram[np.diag_indices(count)] += ridge
        weights = np.linalg.solve(gram, target)
        return (query * weights[:, None]).T @ h
    gram, right = np.zeros((width, width)), np.zeros(width)
    for chunk in np.array_split(np.arange(count), 1 + count * width // 10**7):
        features = np.einsum("md,me->mde", query[chunk], h[chunk])
        features = features.reshape(len(chunk), width)
        gram += features.T @ features
        right += features.T @ target[chunk]
    gram[np.diag_indices(width)] += ridge
    return np.linalg.solve(gram, right).reshape(query.shape[1], h.shape[1])


def errors(dim, loads, runs, *, train_root=None, test_cov=None, seed=0):
    """Mean and standard error over runs of the risk on (new tasks, seen tasks)."""
    length, rho = round(loads.context * dim), loads.noise_variance
    test = np.eye(dim) if test_cov is None else test_cov
    found = []
    for run in range(runs):
        gamma, pool = pretrain(dim, loads, cov_root=train_root, seed=seed + run)
        new = rectangular_risk(gamma, length, rho, cov=test)
        found.append((new, rectangular_risk(gamma, length, rho, pool=pool)))
    found = np.array(found)
    return found.mean(0), found.std(0, ddof=1) / runs**0.5


def extrapolated(dims, means, errors, degree=1):
    """The value at 1/d → 0 of a weighted least-squares polynomial, and its error."""
    design = (1 / np.asarray(dims))[:, None] ** np.arange(degree + 1)
    weighted = design / np.asarray(errors)[:, None]
    cov = np.linalg.inv(weighted.T @ weighted)
    return (cov @ weighted.T @ (means / errors))[0], cov[0, 0] ** 0.5
