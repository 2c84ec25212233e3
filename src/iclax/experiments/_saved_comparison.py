"""A comparison as saved data, and as a row of a table."""

from typing import Any

from ..report import estimate_with_error, with_error
from ._comparison import Comparison


def comparison_data(
    comparison: Comparison, *, label: str, title: str, setting: dict[str, Any]
) -> dict[str, Any]:
    """Everything a report needs to know of `comparison`, JSON-able."""
    claim, training = comparison.claim, comparison.training
    return {
        "label": label,
        "title": title,
        "setting": setting,
        "claim": {
            "form": claim.form,
            "reason": claim.reason,
            "gamma": claim.gamma,
            "layer_risk": claim.layer_risk,
            "gd_form_gamma": claim.gd_form_gamma,
            "risk": claim.risk,
            "zero_risk": claim.zero_risk,
            "gd_step": claim.gd_step,
            "gd_step_without_mean": claim.gd_step_without_mean,
            "gd_risk": claim.gd_risk,
        },
        "layers": [vars(layer) for layer in comparison.layers],
        "references": {name: vars(e) for name, e in comparison.references.items()},
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


def comparison_row(case: dict[str, Any]) -> dict[str, Any]:
    """One row of the table, from saved data; the worst seed of each measure."""
    claim, layers = case["claim"], case["layers"]
    worst = max(layers, key=lambda layer: layer["trained_risk"])
    ridge = case["references"].get("bayes") or case["references"]["ridge"]
    kind = "Bayes" if "bayes" in case["references"] else "ridge"
    prompt = case["setting"]["prompt"]
    return {
        "case": case["label"],
        "n": prompt["context_length"],
        "σ": round(prompt["noise_std"], 4),
        "η (no 1/n)": claim["gd_step_without_mean"],
        "exact risk": claim["layer_risk"],
        "trained risk": with_error(worst["trained_risk"], worst["trained_risk_se"]),
        "ridge / Bayes": f"{estimate_with_error(ridge)} {kind}",
        "plain GD": claim["gd_risk"],
        "‖ΔΓ‖/‖Γ*‖": _worst(layers, "gamma_relative_error"),
        "gap": _worst(layers, "prediction_gap"),
        "blocks": "–"
        if claim["form"] == "full"
        else _worst(layers, "vanishing_blocks"),
        "verdict": case["verdict"],
    }


def _worst(layers: list[dict[str, Any]], measure: str) -> str:
    """The largest value over seeds as a percentage, or a dash where there is none."""
    values = [layer[measure] for layer in layers]
    return "–" if None in values else f"{max(values):.2%}"
