"""One setting: exact theory, trained layers, and the gap between them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np

from .. import theory
from .._errors import AssumptionError
from ..evaluation import Against, Estimate, simulate_against, simulate_risks
from ..models import LinearAttention
from ..prompts import PromptDistribution
from ..settings import Setting
from ..training import TrainResult
from ._checks import Check, Tolerances, at_least, at_most
from ._claims import Claim, exact_claim
from ._layer_training import Weights, layer_weights, train_layer, trained_model
from ._reference_predictors import reference_predictors, reference_risks


@dataclass(frozen=True, eq=False)
class TrainedLayer:
    """What one seed learned. Risks are against the noiseless target.

    `exact_risk` is the exact risk of the trained weights (of their GD form where the
    full layer has no closed form), `trained_risk` the simulated one with its standard
    error; `advantage` is how far it is below the best plain step (or GD form), paired.
    `rank_one` says that training stopped where Γ has one direction only though the
    optimum has more. What needs an exact optimum is None where none is known.
    """

    seed: int
    gamma: np.ndarray
    trained_risk: float
    trained_risk_se: float
    vanishing_blocks: float
    exact_risk: float | None = None
    gamma_relative_error: float | None = None
    prediction_gap: float | None = None
    rank_one: bool = False
    advantage: float | None = None
    advantage_se: float | None = None


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
        """Whether every check passed; None where nothing could be judged."""
        return all(check.passed for check in self.checks) if self.checks else None

    @property
    def verdict(self) -> str:
        """One line for a table: what was confirmed, or the checks that failed."""
        if self.holds is None:
            return f"not judged: {FORMS[self.claim.form]}"
        if self.holds:
            return f"holds: {FORMS[self.claim.form]}"
        failed = ", ".join(c.name for c in self.checks if not c.passed)
        return f"fails: {failed}"


FORMS = {
    "plain": "one plain GD step",
    "preconditioned": "one preconditioned GD step",
    "full": "not a GD step; the full layer beats every GD form",
    "gd_form_only": "no exact optimum of the full layer is known here",
    "unknown": "no exact theory for this setting",
}


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
    result = train_layer(
        setting, prompts, full_risk=claim.form == "full", folder=folder, progress=bar
    )
    key = jr.fold_in(jr.key(setting.training.seeds[0]), 2**31 - 1)
    risk_key, context_key = jr.split(key)
    layers, references = _simulated(claim, result, setting, num_prompts, risk_key)
    context = _context_curve(
        claim, trained_model(result, 0), context_lengths, num_prompts // 2, context_key
    )
    checks = _checks(claim, layers, context, tolerances)
    return Comparison(claim, layers, references, result, context, checks, num_prompts)


def _simulated(
    claim: Claim, result: TrainResult, setting: Setting, num_prompts: int, key: Any
) -> tuple[tuple[TrainedLayer, ...], dict[str, Estimate]]:
    """What every seed learned, and the reference risks, on the same prompts."""
    seeds = setting.training.seeds
    models = {str(seed): trained_model(result, i) for i, seed in enumerate(seeds)}
    found = simulate_against(
        models,
        claim.prompts,
        reference=claim.predictor() if claim.known else None,
        rival=claim.rival(),
        others=reference_predictors(claim.prompts),
        num_prompts=num_prompts,
        key=key,
    )
    layers = [_measured(claim, seed, models[str(seed)], found) for seed in seeds]
    return tuple(layers), reference_risks(found.risks)


def _measured(claim: Claim, seed: int, model: Any, found: Against) -> TrainedLayer:
    """Everything that is measured on one trained layer."""
    weights = layer_weights(model, claim.prompts.context_length)
    gamma = weights.gamma
    risk, edge = found.risks[str(seed)], found.advantages.get(str(seed))
    gap = found.gaps.get(str(seed))
    against_theory = {}
    if claim.known:
        size = np.linalg.norm(claim.gamma) or 1.0
        difference = np.linalg.norm(gamma - claim.gamma) / size
        against_theory = {
            "exact_risk": _exact_risk(claim.prompts, model, weights),
            "gamma_relative_error": float(difference),
            "rank_one": _is_rank_one(gamma) and not _is_rank_one(claim.gamma),
        }
    return TrainedLayer(
        seed=seed,
        gamma=gamma,
        trained_risk=risk.mean,
        trained_risk_se=risk.standard_error,
        vanishing_blocks=float(weights.vanishing_blocks),
        prediction_gap=None if gap is None else gap.mean,
        advantage=None if edge is None else edge.mean,
        advantage_se=None if edge is None else edge.standard_error,
        **against_theory,
    )


def _is_rank_one(gamma: np.ndarray) -> bool:
    values = np.linalg.svd(gamma, compute_uv=False)
    return bool(len(values) > 1 and values[1] < 0.05 * values[0])


def _exact_risk(prompts: PromptDistribution, model: Any, weights: Weights) -> float:
    """Full-layer risk where it has a closed form, else the risk of the GD form."""
    a, q = weights.readout, weights.key_query
    divisor = 1 if model.normalization == "none" else None
    try:
        risk = theory.attention_risk(
            a, q, prompts, include_query=model.include_query, divisor=divisor
        )
    except AssumptionError:
        risk = theory.preconditioner_risk(weights.gamma, prompts)
    return float(risk)


def _context_curve(
    claim: Claim, model: Any, lengths: tuple[int, ...], num_prompts: int, key: Any
) -> dict[str, Any]:
    """Risk of the trained layer (seed 0) at other context lengths, and exact risks."""
    prompts = claim.prompts
    weights = layer_weights(model, prompts.context_length)
    predictor = model
    if model.normalization == "none":  # its Γ is fixed, so it must not grow with n
        predictor = LinearAttention.from_preconditioner(weights.gamma)
        weights = layer_weights(predictor, prompts.context_length)
    rows: list[dict[str, Any]] = []
    lengths = lengths if claim.known else ()
    for i, length in enumerate(lengths):
        other = prompts.replace(context_length=length)
        found = simulate_risks(
            {"risk": predictor}, other, num_prompts=num_prompts, key=jr.fold_in(key, i)
        )["risk"]
        rows.append(
            {
                "length": length,
                "optimum": float(theory.optimal_risk(other)),
                "claimed": _claimed_risk(claim, other),
                "exact": _exact_risk(other, predictor, weights),
                "simulated": found.mean,
                "standard_error": found.standard_error,
            }
        )
    return {"rows": rows, "trained_at": prompts.context_length}


def _claimed_risk(claim: Claim, prompts: PromptDistribution) -> float:
    if claim.layer is None:
        return float(theory.preconditioner_risk(claim.gamma, prompts))
    layer = claim.layer
    return float(theory.attention_risk(layer.readout, layer.key_query, prompts))


def _checks(
    claim: Claim,
    layers: tuple[TrainedLayer, ...],
    context: dict[str, Any],
    limit: Tolerances,
) -> tuple[Check, ...]:
    """Worst case over seeds of everything theory says about the trained layer."""
    if not claim.known:
        return ()
    excess, told = _excess(claim, layers)
    errors = max(
        abs(la.trained_risk - la.exact_risk) / _error(claim, la, la.trained_risk_se)
        for la in layers
    )
    checks = [
        at_most("excess risk", excess, limit.risk, told),
        at_most(
            "simulation",
            errors,
            limit.errors,
            "standard errors, simulated − exact risk",
        ),
    ]
    if claim.form == "gd_form_only":
        return (checks[1],)
    gap = max(layer.prediction_gap or 0.0 for layer in layers)
    text = "relative RMS distance to the claimed predictor"
    checks.append(at_most("prediction gap", gap, limit.gap, text))
    if limit.gamma is not None:
        error = max(layer.gamma_relative_error or 0.0 for layer in layers)
        allowed = limit.gamma if claim.form != "full" else 3 * limit.gamma
        text = "‖Γ_learned − Γ*‖ / ‖Γ*‖"
        checks.append(at_most("preconditioner", error, allowed, text))
    if limit.blocks is not None and claim.form != "full":
        blocks = max(layer.vanishing_blocks for layer in layers)
        checks.append(at_most("blocks", blocks, limit.blocks, "what should vanish"))
    return (*checks, *_margin(claim, layers, limit.margin))


def _excess(claim: Claim, layers: tuple[TrainedLayer, ...]) -> tuple[float, str]:
    """How far the worst exact risk is above its minimum, and on which scale.

    A minimum that is 0 up to rounding has no scale: then that of predicting 0 counts.
    """
    worst = max(layer.exact_risk for layer in layers)
    if claim.layer_risk > 1e-12 * claim.zero_risk:
        return worst / claim.layer_risk - 1, "exact risk over its minimum, − 1"
    told = "exact risk over that of predicting 0 (the minimum is 0)"
    return (worst - claim.layer_risk) / (claim.zero_risk or 1.0), told


def _error(claim: Claim, layer: TrainedLayer, standard_error: float) -> float:
    """A standard error, at least the float32 rounding of a simulated risk, never 0.

    A prediction is rounded by ε times the labels' size √z, its squared error with mean
    r by 2ε√(rz) + ε²z: far below a standard error unless all prompts have one risk.
    """
    eps, size = np.finfo(np.float32).eps, claim.zero_risk
    rounding = 2 * eps * (max(layer.exact_risk, 0.0) * size) ** 0.5 + eps**2 * size
    return max(standard_error, float(rounding), float(np.finfo(np.float32).tiny))


def _margin(
    claim: Claim, layers: tuple[TrainedLayer, ...], limit: float
) -> tuple[Check, ...]:
    """By how many standard errors the trained layer beats what theory says it beats."""
    if claim.rival() is None:
        return ()
    name = "plain GD" if claim.form == "preconditioned" else "every GD form"
    margin = min(la.advantage / _error(claim, la, la.advantage_se) for la in layers)
    text = "standard errors of the paired difference of risks"
    return (at_least(f"beats {name}", margin, limit, text),)
