"""A user's own setting as a recipe of one comparison."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np

from .. import figures
from .._errors import AssumptionError, SettingError
from ..evaluation import simulate_row_risks
from ..predictors import GradientStep, LeastSquares, Ridge, Zero, bayes_predictor
from ..report import Figure, Section, Table, Verdict, estimate_with_error
from ..runs import run_id
from ..settings import LinearAttentionTable, Setting
from ._checks import OWN
from ._claims import FORMS
from ._comparison import compare
from ._layer_training import trained_model
from ._model_comparison import compare_model
from ._model_report import model_sections
from ._recipe import Part, PartContext, Recipe, Size
from ._reference_predictors import RIDGE_STRENGTHS
from ._saved_comparison import TABLE_CAPTION, comparison_data, comparison_row

_NUM_PROMPTS = 2**18


def setting_recipe(setting: Setting, name: str) -> Recipe:
    """The recipe of `iclax run`: one comparison, and real labels if there are.

    Raises `SettingError` where a file that the setting names cannot be read.
    """
    config = _config(setting)
    return Recipe(
        name=name,
        title=f"Exact theory and training on {name}",
        reference="a setting file",
        summary="one setting: theory, training and their comparison",
        parts=partial(_parts, setting, name, config),
        report=_report,
        setting=config,
    )


def _config(setting: Setting) -> dict[str, Any]:
    """The setting, and what is in the files that it reads, not only their paths."""
    digests = setting.file_digests()
    stated = setting.model_dump(mode="json")
    return stated | ({"files": digests} if digests else {})


def _parts(
    setting: Setting, name: str, config: dict[str, Any], size: Size, seed: int
) -> Sequence[Part]:
    return [Part("comparison", config, partial(_compute, setting, name))]


def _compute(setting: Setting, name: str, context: PartContext) -> dict[str, Any]:
    progress = partial(context.progress, name, setting.training.steps)
    if not isinstance(setting.model, LinearAttentionTable):
        return compare_model(
            setting,
            label=name,
            num_prompts=_NUM_PROMPTS,
            folder=context.folder,
            progress=progress,
        )
    rows = setting.labeled_rows()  # first: a file may change while training goes on
    n = setting.prompt.context_length
    lengths = sorted({max(1, n // 4), max(1, n // 2), n, 2 * n, 4 * n})
    comparison = compare(
        setting,
        tolerances=OWN,
        num_prompts=_NUM_PROMPTS,
        context_lengths=tuple(lengths),
        folder=context.folder,
        progress=progress,
    )
    data = comparison_data(
        comparison, label=name, title=name, setting=setting.model_dump(mode="json")
    )
    if rows is not None:
        data["real_labels"] = _real_labels(setting, comparison, *rows)
    return data


def _real_labels(setting: Setting, comparison: Any, rows: Any, labels: Any) -> Any:
    """Risk on prompts of real rows: the trained layers among the reference curves.

    The Bayes predictor has the setting's own prior and noise; the strength of the tuned
    ridge is the best of a grid on as many other prompts of the same rows.
    """
    training, claim = comparison.training, comparison.claim
    options = {"context_length": setting.prompt.context_length, "num_prompts": 2**15}
    key = jr.fold_in(jr.key(setting.training.seeds[0]), 77)
    predictors = {
        f"trained layer, seed {seed}": trained_model(training, i)
        for i, seed in enumerate(setting.training.seeds)
    }
    if claim.known:
        plain = claim.gd_step * np.eye(rows.shape[1])
        predictors["optimal preconditioned step"] = GradientStep(claim.gd_form_gamma)
        predictors["best plain GD step"] = GradientStep(plain)
    try:
        bayes = bayes_predictor(claim.prompts)
        predictors["Bayes predictor of the setting (its prior and noise)"] = bayes
    except AssumptionError:
        pass
    grid = {f"{s:g}": Ridge(s) for s in RIDGE_STRENGTHS}
    tuning = simulate_row_risks(grid, rows, labels, key=jr.fold_in(key, 1), **options)
    best = min(tuning, key=lambda name: tuning[name].mean)
    predictors |= {
        f"ridge, λ = {best} (best of {len(grid)} on other prompts)": grid[best],
        "least squares": LeastSquares(),
        "predicting 0": Zero(),
    }
    found = simulate_row_risks(predictors, rows, labels, key=key, **options)
    return {name: vars(estimate) for name, estimate in found.items()}


def _report(data: Mapping[str, dict[str, Any]], size: Size) -> Sequence[Section]:
    case = data["comparison"]
    if case["setting"]["model"]["kind"] != "linear_attention":
        return model_sections(case)
    claim, cases = case["claim"], {case["label"]: case}
    row = comparison_row(case)
    table = Table(TABLE_CAPTION, list(row), [row])
    paragraphs = [
        f"Theory says that the best layer is {FORMS[claim['form']]}. "
        f"Reason: {claim['reason']}."
    ]
    verdicts = [
        Verdict(check["name"], check["passed"], check["text"])
        for check in case["checks"]
    ] or [Verdict("The trained layer is what theory says", None, case["verdict"])]
    drawn = [] if claim["gamma"] is None else _figures(case, cases)
    sections = [Section("Theory and training", paragraphs, [table], drawn, verdicts)]
    if "real_labels" in case:
        sections.append(_real_label_section(case["real_labels"]))
    return sections


def _figures(case: dict[str, Any], cases: dict[str, dict[str, Any]]) -> list[Figure]:
    """What can be drawn of a setting with exact theory."""
    drawn = [
        Figure(
            "preconditioners",
            "Predicted and learned Γ (1/n convention).",
            partial(figures.preconditioners, cases),
        ),
        Figure(
            "entries",
            "Entries of the learned Γ against the predicted ones.",
            partial(figures.entries, cases),
        ),
        Figure(
            "context_length",
            "Risk at other context lengths at test time: exact lines, simulated points "
            "± standard error.",
            partial(figures.context_curves, cases),
        ),
    ]
    if case["training"]["risk"] is not None:
        told = "Exact risk of the whole layer along training."
        curves = partial(figures.loss_curves, cases)
        drawn.insert(2, Figure("loss_curves", told, curves))
    return drawn


def _real_label_section(found: dict[str, Any]) -> Section:
    rows = [
        {
            "predictor": name,
            "risk": estimate_with_error(estimate),
            "prompts": estimate["count"],
        }
        for name, estimate in found.items()
    ]
    return Section(
        "The real labels as a shifted task",
        [
            "Prompts of different real rows with their real labels (mean "
            "0, variance 1). No theory is claimed here: the labels are not drawn from "
            "the task distribution. Risk is against the real label of the query."
        ],
        [Table("Risk on prompts of real rows, ± standard error.", list(rows[0]), rows)],
    )


def run_folder(recipe: Recipe, setting: Setting, out: Path | None) -> Path:
    """Where a run of `setting` lives; `SettingError` if `out` is a file."""
    if out is None:
        return Path("runs") / f"{recipe.name}-{run_id(_config(setting))[:8]}"
    if out.is_file():
        raise SettingError("--out", f"a file at {out}", "a folder, new or of this run")
    return out
