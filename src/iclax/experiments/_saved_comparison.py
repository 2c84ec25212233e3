"""A comparison as saved data, and as a row of a table."""

from typing import Any

from ..evaluation import Estimate
from ..report import estimate_with_error, with_error
from ._checks import percent
from ._claims import Claim
from ._comparison import Comparison
from ._layer import TrainedLayer


def comparison_data(
    comparison: Comparison, *, label: str, title: str, setting: dict[str, Any]
) -> dict[str, Any]:
    """Everything a report needs to know of `comparison`, JSON-able."""
    claim, training = comparison.claim, comparison.training
    return {
        "label": label,
        "title": title,
        "setting": setting,
        "claim": claim_data(claim),
        "layers": [_layer_data(layer) for layer in comparison.layers],
        "references": references_data(comparison.references),
        "training": {
            "steps": training.steps,
            "loss": training.history["loss"],
            "risk": training.history.get("risk"),
            "seconds": training.seconds,
        },
        "context": comparison.context,
        "checks": [vars(check) for check in comparison.checks],
        "holds": comparison.holds,
        "verdict": comparison.verdict,
        "num_prompts": comparison.num_prompts,
    }


def claim_data(claim: Claim) -> dict[str, Any]:
    """What theory says of the best layer, under flat names."""
    return {
        "form": claim.form,
        "reason": claim.reason,
        "gamma": claim.gamma,
        "layer_risk": claim.layer_risk,
        "gd_form_gamma": claim.gd_form_gamma,
        "risk": claim.risk,
        "zero_risk": claim.zero_risk,
        "no_context_risk": claim.no_context_risk,
        "gd_step": claim.gd_step,
        "gd_step_without_mean": claim.gd_step_without_mean,
        "gd_risk": claim.gd_risk,
    }


def references_data(found: dict[str, Estimate]) -> dict[str, Any]:
    """Risks of the reference predictors, and which are exact."""
    return {name: {**vars(own), "exact": own.count == 0} for name, own in found.items()}


def _layer_data(layer: TrainedLayer) -> dict[str, Any]:
    """One seed's measurements under flat names."""
    distance, gap, edge = layer.distance, layer.prediction, layer.advantage
    return {
        "seed": layer.seed,
        "gamma": layer.gamma,
        "exact_risk": layer.exact_risk,
        "trained_risk": layer.risk.mean,
        "trained_risk_se": layer.risk.standard_error,
        "heavy_tailed": layer.risk.heavy_tailed,
        "vanishing_blocks": layer.vanishing_blocks,
        "gamma_relative_error": None if distance is None else distance.norm,
        "gamma_prediction_distance": None if distance is None else distance.prediction,
        "curvature_ratio": None if distance is None else distance.curvature_ratio,
        "flat_share": None if distance is None else distance.flat_share,
        "prediction_gap": None if gap is None else gap.mean,
        "prediction_gap_se": None if gap is None else gap.standard_error,
        "advantage": None if edge is None else edge.mean,
        "advantage_se": None if edge is None else edge.standard_error,
        "unfinished": layer.unfinished,
        "trapped": layer.trapped,
    }


def comparison_row(case: dict[str, Any]) -> dict[str, Any]:
    """One row of the table, from saved data; the worst seed of each measure."""
    claim, layers = case["claim"], case["layers"]
    prompt = case["setting"]["prompt"]
    return {
        "case": case["label"],
        "n": prompt["context_length"],
        "σ": round(prompt["noise_std"], 4),
        "η (no 1/n)": claim["gd_step_without_mean"],
        "exact minimum": claim["layer_risk"],
        "trained: exact excess": _excess(claim, layers),
        "simulated − exact": _deviation(layers),
        "reference": _reference(case["references"]),
        "best plain GD": claim["gd_risk"],
        "Γ: norm": _worst(layers, "gamma_relative_error"),
        "Γ: risk metric": _worst(layers, "gamma_prediction_distance"),
        "predictions": _worst(layers, "prediction_gap"),
        "outside GD form": "–"
        if claim["form"] == "full"
        else _worst(layers, "vanishing_blocks"),
        "verdict": case["verdict"],
    }


TABLE_CAPTION = (
    "Risks are against the noiseless target and exact unless they have a ±. Exact "
    "excess: the exact risk of the trained weights above the exact minimum (and its "
    "share), worst seed; simulated − exact: of the same weights, ± standard error. Γ: "
    "distance of the learned from the optimal preconditioner, relative, in Frobenius "
    "norm and in the metric of the risk; predictions: relative RMS distance, simulated."
)


def _excess(claim: dict[str, Any], layers: list[dict[str, Any]]) -> str:
    risks = [layer["exact_risk"] for layer in layers]
    if None in risks:
        return "not known"
    excess = max(risks) - claim["layer_risk"]
    scale = claim["layer_risk"] if claim["layer_risk"] > 0 else claim["zero_risk"] or 1
    return f"{excess:.2g} ({percent(excess / scale)})"


def _deviation(layers: list[dict[str, Any]]) -> str:
    """Of the seed where it is largest in standard errors."""
    known = [la for la in layers if la["exact_risk"] is not None]
    if not known:
        return "–"
    gap = lambda la: la["trained_risk"] - la["exact_risk"]
    worst = max(known, key=lambda la: abs(gap(la)) / (la["trained_risk_se"] or 1e-300))
    return with_error(gap(worst), worst["trained_risk_se"], worst["heavy_tailed"])


def _reference(references: dict[str, dict[str, Any]]) -> str:
    """The Bayes predictor, or ridge where that is not known."""
    name = "bayes" if "bayes" in references else "ridge"
    found, label = references[name], "Bayes" if name == "bayes" else "tuned ridge"
    told = f"{found['mean']:.6g}" if found["exact"] else estimate_with_error(found)
    return f"{told} {label}"


def _worst(layers: list[dict[str, Any]], measure: str) -> str:
    """The largest value over seeds as a percentage, or a dash where there is none."""
    values = [layer[measure] for layer in layers]
    return "–" if None in values else percent(max(values))
