"""One setting: exact theory, trained layers, and the gap between them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.random as jr

from ..evaluation import Estimate, simulate_against
from ..settings import Setting
from ..training import TrainResult
from ._checks import DECISIVE, Check, Tolerances, judge
from ._claims import FORMS, Claim, exact_claim
from ._context_curve import context_curve
from ._layer import TrainedLayer, measured_layer
from ._layer_training import train_layer, trained_model
from ._reference_predictors import exact_where_known, reference_predictors


@dataclass(frozen=True, eq=False)
class Comparison:
    """The honest comparison of theory and training on one setting."""

    claim: Claim
    layers: tuple[TrainedLayer, ...]
    references: dict[str, Estimate]
    training: TrainResult
    context: dict[str, Any]
    checks: tuple[Check, ...]
    num_prompts: int

    @property
    def holds(self) -> bool | None:
        """False if a check fails; True if those that the risk and the predictions rest
        on hold; None where one of them is not decided, or there is none.
        """
        outcomes = [check.passed for check in self.checks]
        if False in outcomes:
            return False
        decisive = [c.passed for c in self.checks if c.name.startswith(DECISIVE)]
        judged = self.claim.form not in ("unknown", "gd_form_only")
        return True if judged and decisive and all(decisive) else None

    @property
    def verdict(self) -> str:
        """One line for a table: what was confirmed, what failed, what is open."""
        form = FORMS[self.claim.form]
        open_ = ", ".join(c.name for c in self.checks if c.passed is None)
        if self.holds:
            return f"holds: {form}" + (f" (not decided: {open_})" if open_ else "")
        if self.holds is None:
            judged = self.claim.form not in ("unknown", "gd_form_only")
            return f"not decided: {open_}" if judged else f"not decided: {form}"
        return "fails: " + ", ".join(c.name for c in self.checks if c.passed is False)


def compare(
    setting: Setting,
    *,
    tolerances: Tolerances,
    num_prompts: int = 2**18,
    context_lengths: tuple[int, ...] = (),
    folder: Path | None = None,
    progress: Callable[..., Any] | None = None,
) -> Comparison:
    """Exact theory, training and simulation of `setting`, held against each other."""
    prompts = setting.prompts()
    claim = exact_claim(prompts, setting.model.include_query)
    bar = None
    if progress is not None:
        floor = claim.layer_risk + prompts.noise_std**2 if claim.known else None
        batch = setting.training.batch_size
        bar = progress(prompts_per_step=batch, floor=floor)
    result = train_layer(setting, prompts, folder=folder, progress=bar)
    key = jr.fold_in(jr.key(setting.training.seeds[0]), 2**31 - 1)
    risk_key, context_key = jr.split(key)
    layers, references = _simulated(claim, result, setting, num_prompts, risk_key)
    context = context_curve(
        claim, trained_model(result, 0), context_lengths, num_prompts // 2, context_key
    )
    checks = judge(claim, layers, tolerances)
    return Comparison(claim, layers, references, result, context, checks, num_prompts)


def _simulated(
    claim: Claim, result: TrainResult, setting: Setting, num_prompts: int, key: Any
) -> tuple[tuple[TrainedLayer, ...], dict[str, Estimate]]:
    """What every seed learned, and the reference risks, on the same prompts."""
    seeds, prompts = setting.training.seeds, claim.prompts
    models = {str(seed): trained_model(result, i) for i, seed in enumerate(seeds)}
    others = reference_predictors(prompts, num_prompts // 8, key)
    found = simulate_against(
        models,
        prompts,
        reference=claim.predictor() if claim.known else None,
        rival=claim.rival(),
        others=others,
        num_prompts=num_prompts,
        key=key,
    )
    risks = result.history.get("risk")
    layers = [
        measured_layer(
            claim,
            seed,
            models[str(seed)],
            found,
            result.steps,
            None if risks is None else risks[i],
        )
        for i, seed in enumerate(seeds)
    ]
    return tuple(layers), exact_where_known(others, prompts, found.risks)
