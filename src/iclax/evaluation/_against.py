"""Predictors held against a reference and a rival on the same simulated prompts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._errors import SettingError
from ..prompts import Prompt, PromptDistribution
from ._estimate import Estimate, estimate, estimate_from_blocks
from ._jackknife import pseudo_values
from ._risk import Predictor, average_terms, default_batch, fresh, predicted
from ._sums import Sums
from ._tails import has_power_tails, is_heavy_tailed


@dataclass(frozen=True)
class Against:
    r"""What one pass over simulated prompts says of each predictor, by name.

    `risks`, also of `others`, are against the noiseless target. `gaps` are
    $\sqrt{E(\hat y - \hat y_0)^2 / E \hat y_0^2}$ to the reference ŷ₀ (for ŷ₀ = 0 over
    the power of the target), by the jackknife over 32 blocks of prompts; heavy-tailed
    where either mean is. `advantages`
    are paired differences of risk, rival minus predictor, whose standard error is far
    smaller than those of the two risks. Empty without a reference, or a rival.
    """

    risks: dict[str, Estimate]
    gaps: dict[str, Estimate]
    advantages: dict[str, Estimate]


def simulate_against(
    predictors: Mapping[str, Predictor],
    prompts: PromptDistribution,
    *,
    reference: Predictor | None = None,
    rival: Predictor | None = None,
    others: Mapping[str, Predictor] | None = None,
    num_prompts: int,
    key: Any,
) -> Against:
    """Risks of `predictors`, their gap to `reference` and their edge over `rival`.

    Of `others` only the risks, on the same prompts. Raises `SettingError` for a name in
    both, a prediction that is not a scalar and a `num_prompts` below 1.
    """
    aside = others or {}
    _check_names(predictors, aside)

    def terms(prompt: Prompt) -> dict[str, Any]:
        values = {
            k: predicted(f"predictors.{k}", p, prompt) for k, p in predictors.items()
        }
        errors = {k: (v - prompt.target) ** 2 for k, v in values.items()}
        found = {f"risk {k}": e for k, e in errors.items()}
        for k, p in aside.items():
            value = predicted(f"others.{k}", p, prompt)
            found[f"risk {k}"] = (value - prompt.target) ** 2
        if reference is not None:
            exact = predicted("reference", reference, prompt)
            found |= {f"gap {k}": (v - exact) ** 2 for k, v in values.items()}
            found |= {"size": exact**2, "power": prompt.target**2}
        if rival is not None:
            worse = (predicted("rival", rival, prompt) - prompt.target) ** 2
            found |= {f"edge {k}": worse - e for k, e in errors.items()}
        return found

    size = default_batch(prompts)
    found = average_terms(terms, fresh(prompts), num_prompts, key, size)
    power_tails = has_power_tails(prompts.covariates, prompts.query_covariates)
    means = {name: estimate(sums, power_tails) for name, sums in found.items()}
    whole = found.get("size")
    if whole is not None and not whole.mean > 0:
        whole = found["power"]
    return Against(
        risks=_named(means, "risk "),
        gaps={
            name: _gap(gap, whole, power_tails)
            for name, gap in _named(found, "gap ").items()
        },
        advantages=_named(means, "edge "),
    )


def _gap(gap: Sums, size: Sums, power_tails: bool) -> Estimate:
    """√(gap / size); the gap itself where all sizes are 0."""
    ratio = lambda top, bottom: np.sqrt(top / bottom if bottom > 0 else top)
    values = pseudo_values(ratio, (gap.blocks, size.blocks), gap.sizes)
    heavy = is_heavy_tailed(gap, power_tails) or is_heavy_tailed(size, power_tails)
    return estimate_from_blocks(values, gap.count, heavy)


def _check_names(
    predictors: Mapping[str, Predictor], others: Mapping[str, Predictor]
) -> None:
    shared = ", ".join(sorted(set(predictors) & set(others)))
    if shared:
        raise SettingError("others", shared, "names that `predictors` does not have")


def _named(found: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {k.removeprefix(prefix): e for k, e in found.items() if k.startswith(prefix)}
