"""The exact risk of the full layer against ten million prompts each (slow)."""

import numpy as np
import pytest

from iclax import theory
from iclax.covariates import Gaussian
from iclax.prompts import PromptDistribution
from iclax.tasks import Linear, Mixture

NOISE, BATCH, BATCHES = 0.4, 100_000, 100


def low_rank_mixture(dim, rng):
    """Three components of rank dim − 2 with unequal means and weights."""
    means = rng.standard_normal((3, dim)) * [[0.5], [1.0], [-0.7]]
    roots = rng.standard_normal((3, dim, dim - 2)) / dim**0.5
    return means, roots, np.array([0.5, 0.3, 0.2])


def losses(weights, means, roots, shares, root_of_cov, n, include_query, rng):
    """Squared errors of one batch, straight from the definition of the layer."""
    a, q = weights
    which = rng.choice(len(shares), BATCH, p=shares)
    latent = rng.standard_normal((BATCH, roots.shape[2]))
    w = means[which] + np.einsum("mdr,mr->md", roots[which], latent)
    xs = rng.standard_normal((BATCH, n + 1, len(root_of_cov))) @ root_of_cov.T
    values = np.einsum("mnd,md->mn", xs, w)
    ys = values + NOISE * rng.standard_normal(values.shape)
    ys[:, n] = 0
    tokens = np.concatenate([xs, ys[:, :, None]], 2)
    seen = tokens if include_query else tokens[:, :n]
    keys = xs[:, n] @ q.T
    scores = np.einsum("mns,ms->mn", seen, keys)
    found = np.sum((seen @ a) * scores, 1) / n
    return (found - values[:, n]) ** 2


@pytest.mark.slow
@pytest.mark.parametrize("include_query", [False, True])
@pytest.mark.parametrize("dim", [3, 4, 5])
def test_risk_of_the_best_and_of_another_layer_on_ten_million_prompts(
    dim, include_query
):
    rng, n = np.random.default_rng(dim), dim + 1
    means, roots, shares = low_rank_mixture(dim, rng)
    root = np.tril(rng.standard_normal((dim, dim))) / 2 + np.eye(dim)
    tasks = Mixture(
        [Linear(r @ r.T, m) for r, m in zip(roots, means, strict=True)], shares
    )
    prompts = PromptDistribution(Gaussian(root @ root.T), tasks, n, NOISE)
    how = {"include_query": include_query}
    best = theory.optimal_attention(prompts, starts=1, **how)
    other = [
        part + 0.2 * np.std(part) * rng.standard_normal(part.shape)
        for part in (best.readout, best.key_query)
    ]
    for weights in ((best.readout, best.key_query), other):
        exact = theory.attention_risk(*weights, prompts, **how)
        batches = [
            losses(weights, means, roots, shares, root, n, include_query, rng)
            for _ in range(BATCHES)
        ]
        means_of = np.array([batch.mean() for batch in batches])
        error = np.sqrt(np.mean([batch.var() for batch in batches]) / BATCH / BATCHES)
        gap = means_of.mean() - exact
        print(
            f"d={dim} n={n} query_in_sum={include_query} exact={exact:.6f} "
            f"simulated={means_of.mean():.6f} +- {error:.6f} ({gap / error:+.2f} s.e.)"
        )
        assert abs(gap) < 3 * error and error < 2e-3 * exact
