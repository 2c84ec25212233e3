"""One setting: exact theory, trained layers, and the gap between them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np

from .. import theory
from .._errors import AssumptionError
from ..evaluation import Estimate, simulate_advantages, simulate_gaps, simulate_risks
from ..models import LinearAttention
from ..prompts import PromptDistribution
from ..settings import Setting
from ..training import TrainResult
from ._checks import Check, Tolerances, at_least, at_most
from ._claims import Claim, exact_claim
from ._layer_training import layer_gamma, train_layer, trained_model
from ._reference_predictors import reference_risks


@dataclass(frozen=True, eq=False)
class TrainedLayer:
    """What one seed learned. Risks are against the noiseless target.

    `exact_risk` is the exact risk of the trained weights (of their GD form where the
    full layer has no closed form), `trained_risk` the simulated one with its standard
    error; `advantage` is how far it is below the best plain step (or GD form), paired.
    What needs an exact optimum is None where none is known.
    """

    seed: int
    gamma: np.ndarray
    trained_risk: float
    trained_risk_se: float
    vanishing_blocks: float
    exact_risk: float | None = None
    gamma_relative_error: float | None = None
    prediction_gap: float | None = None
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
    def holds(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def verdict(self) -> str:
        """One line for a table: what was confirmed, or the checks that failed."""
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
    progress: Any = None,
) -> Comparison:
    """Exact theory, training and simulation of `setting`, held against each other."""
    prompts = setting.prompts()
    claim = exact_claim(prompts, setting.model.include_query)
    result = train_layer(setting, prompts, folder=folder, progress=progress)
    key = jr.fold_in(jr.key(setting.training.seeds[0]), 2**31 - 1)
    risk_key, gap_key, reference_key, context_key = jr.split(key, 4)
    layers = _trained_layers(claim, result, setting, num_prompts, risk_key, gap_key)
    references = reference_risks(
        prompts, num_prompts=min(num_prompts, 2**15), key=reference_key
    )
    context = _context_curve(
        claim, trained_model(result, 0), context_lengths, num_prompts // 2, context_key
    )
    checks = _checks(claim, layers, context, tolerances)
    return Comparison(claim, layers, references, result, context, checks, num_prompts)


def _trained_layers(
    claim: Claim,
    result: TrainResult,
    setting: Setting,
    num_prompts: int,
    risk_key: Any,
    gap_key: Any,
) -> tuple[TrainedLayer, ...]:
    prompts, seeds = claim.prompts, setting.training.seeds
    models = [trained_model(result, i) for i in range(len(seeds))]
    predictors = {str(i): model for i, model in enumerate(models)}
    simulated = simulate_risks(
        predictors, prompts, num_prompts=num_prompts, key=risk_key
    )
    rival, gaps, advantages = claim.rival(), {}, {}
    if rival is not None:
        advantages = simulate_advantages(
            predictors, rival, prompts, num_prompts=num_prompts, key=risk_key
        )
    if claim.known:
        gaps = simulate_gaps(
            predictors, claim.predictor(), prompts, num_prompts=2**15, key=gap_key
        )
    layers = []
    for i, model in enumerate(models):
        gamma = layer_gamma(model, prompts.context_length)
        layers.append(
            TrainedLayer(
                seed=seeds[i],
                gamma=gamma,
                trained_risk=simulated[str(i)].mean,
                trained_risk_se=simulated[str(i)].standard_error,
                vanishing_blocks=float(model.vanishing_blocks()),
                **_against_theory(claim, model, gamma, gaps.get(str(i))),
                **_against_rival(advantages.get(str(i))),
            )
        )
    return tuple(layers)


def _against_theory(
    claim: Claim, model: Any, gamma: np.ndarray, gap: float | None
) -> dict[str, Any]:
    """The measures of a layer that need an exact optimum."""
    if not claim.known:
        return {}
    difference = np.linalg.norm(gamma - claim.gamma)
    return {
        "exact_risk": _exact_risk(claim.prompts, model, gamma),
        "gamma_relative_error": float(difference / np.linalg.norm(claim.gamma)),
        "prediction_gap": gap,
    }


def _against_rival(advantage: Estimate | None) -> dict[str, float]:
    """How far below the rival's risk a layer is, with the paired standard error."""
    if advantage is None:
        return {}
    return {"advantage": advantage.mean, "advantage_se": advantage.standard_error}


def _exact_risk(prompts: PromptDistribution, model: Any, gamma: np.ndarray) -> float:
    """Full-layer risk where it has a closed form, else the risk of the GD form."""
    a, q = (np.asarray(v, dtype=np.float64) for v in model.effective())
    divisor = 1 if model.normalization == "none" else None
    try:
        risk = theory.attention_risk(
            a, q, prompts, include_query=model.include_query, divisor=divisor
        )
    except AssumptionError:
        risk = theory.preconditioner_risk(gamma, prompts)
    return float(risk)


def _context_curve(
    claim: Claim, model: Any, lengths: tuple[int, ...], num_prompts: int, key: Any
) -> dict[str, Any]:
    """Risk of the trained layer (seed 0) at other context lengths, and exact risks."""
    prompts = claim.prompts
    gamma = layer_gamma(model, prompts.context_length)
    predictor = model
    if model.normalization == "none":  # its Γ is fixed, so it must not grow with n
        predictor = LinearAttention.from_preconditioner(gamma)
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
                "exact": _exact_risk(other, predictor, gamma),
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
    excess = max(layer.exact_risk / claim.layer_risk - 1 for layer in layers)
    errors = max(
        abs(layer.trained_risk - layer.exact_risk) / layer.trained_risk_se
        for layer in layers
    )
    checks = [
        at_most("excess risk", excess, limit.risk, "exact risk over its minimum, − 1"),
        at_most(
            "simulation",
            errors,
            limit.errors,
            "standard errors, simulated − exact risk",
        ),
    ]
    if claim.form == "gd_form_only":
        return (checks[1],)
    checks += [
        at_most(
            "preconditioner",
            max(layer.gamma_relative_error for layer in layers),
            limit.gamma if claim.form != "full" else 3 * limit.gamma,
            "‖Γ_learned − Γ*‖ / ‖Γ*‖",
        ),
        at_most(
            "prediction gap",
            max(layer.prediction_gap for layer in layers),
            limit.gap,
            "relative RMS distance to the claimed predictor",
        ),
    ]
    if claim.form != "full":
        blocks = max(layer.vanishing_blocks for layer in layers)
        checks.append(at_most("blocks", blocks, limit.blocks, "what should vanish"))
    return (*checks, *_margin(claim, layers))


def _margin(claim: Claim, layers: tuple[TrainedLayer, ...]) -> tuple[Check, ...]:
    """By how many standard errors the trained layer beats what theory says it beats."""
    if claim.rival() is None:
        return ()
    name = "plain GD" if claim.form == "preconditioned" else "every GD form"
    margin = min(la.advantage / la.advantage_se for la in layers)
    text = "standard errors of the paired difference of risks"
    return (at_least(f"beats {name}", margin, 5.0, text),)
