"""The report of a model that theory claims nothing about."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from .. import figures
from ..report import Figure, Section, Table, estimate_with_error, with_error
from ._claims import FORMS

_CAPTION = (
    "Risks are against the noiseless target; a ± is a standard error, all others are "
    "exact. Distance: of predictions from those of the first reference, RMS, relative "
    "to their size. Simulated risks are on the same prompts."
)

_OBJECTIVES = {"query": "the query", "all": "all points of a prompt"}


def model_sections(case: Mapping[str, Any]) -> list[Section]:
    """Table, learning curve and context lengths, from the saved data of the run."""
    claim, table = case["claim"], case["setting"]["model"]
    objective = _OBJECTIVES[case["setting"]["training"]["objective"]]
    text = (
        f"The model is {table['kind']} with {case['parameters']} parameters, trained "
        f"on {objective}. Theory claims nothing about it. It knows the best layer of "
        f"linear attention on this setting: {FORMS[claim['form']]} ({claim['reason']})."
    )
    rows = _rows(case)
    drawn = [
        Figure(
            "learning_curves",
            f"Risk along training on the same {case['training']['watched_prompts']} "
            "prompts all the time, one line a seed; levels are those of the table.",
            partial(figures.learning_curves, case),
        )
    ]
    if case["context"]["rows"]:
        drawn.append(
            Figure(
                "context_length",
                "Risk at other context lengths at test time, first seed.",
                partial(figures.model_lengths, case),
            )
        )
    table = Table(_CAPTION, list(rows[0]), rows)
    return [Section("Trained model and references", [text], [table], drawn, [])]


def _rows(case: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """The trained model of every seed, the references, and what theory knows."""
    claim, rows = case["claim"], []
    for layer in case["layers"]:
        heavy = "; heavy tails" if layer["heavy_tailed"] else ""
        risk = with_error(layer["trained_risk"], layer["trained_risk_se"])
        gap = with_error(layer["prediction_gap"], layer["prediction_gap_se"])
        rows.append(
            {
                "predictor": f"trained model, seed {layer['seed']}",
                "risk": risk + heavy,
                "exact risk": layer["exact_risk"],
                "distance": gap,
            }
        )
    for name, found in case["references"].items():
        shown = None if found["exact"] else estimate_with_error(found)
        exact = found["mean"] if found["exact"] else None
        rows.append(_row(name.replace("_", " "), shown, exact))
    for key, name in (
        ("layer_risk", "best layer of linear attention"),
        ("risk", "best preconditioned GD step"),
        ("gd_risk", "best plain GD step"),
        ("no_context_risk", "best function of the query alone"),
        ("zero_risk", "predicting 0"),
    ):
        if claim[key] is not None:
            rows.append(_row(name, None, claim[key]))
    return rows


def _row(name: str, shown: str | None, exact: float | None) -> dict[str, Any]:
    return {"predictor": name, "risk": shown, "exact risk": exact, "distance": None}
