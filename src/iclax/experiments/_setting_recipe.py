"""A user's own setting as a recipe of one comparison."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np

from .. import figures
from .._errors import SettingError
from ..evaluation import simulate_row_risks
from ..predictors import GradientStep, LeastSquares, Ridge, Zero
from ..report import Figure, Section, Table, Verdict, estimate_with_error
from ..runs import run_id
from ..settings import Setting
from ._checks import OWN
from ._comparison import compare
from ._layer_training import trained_model
from ._recipe import Part, PartContext, Recipe, Size
from ._saved_comparison import comparison_data, comparison_row

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
    rows = setting.labeled_rows()  # first: a file may change while training goes on
    n = setting.prompt.context_length
    lengths = sorted({max(1, n // 4), max(1, n // 2), n, 2 * n, 4 * n})
    comparison = compare(
        setting,
        tolerances=OWN,
        num_prompts=_NUM_PROMPTS,
        context_lengths=tuple(lengths),
        folder=context.folder,
        progress=partial(context.progress, name, setting.training.steps),
    )
    data = comparison_data(
        comparison, label=name, title=name, setting=setting.model_dump(mode="json")
    )
    if rows is not None:
        data["real_labels"] = _real_labels(setting, comparison, *rows)
    return data


def _real_labels(setting: Setting, comparison: Any, rows: Any, labels: Any) -> Any:
    """Risk on prompts of real rows: the trained layers among the reference curves."""
    training = comparison.training
    noise = max(setting.prompt.noise_std, 0.1)
    predictors = {
        f"trained layer, seed {seed}": trained_model(training, i)
        for i, seed in enumerate(setting.training.seeds)
    }
    claim = comparison.claim
    if claim.known:
        plain = claim.gd_step * np.eye(rows.shape[1])
        predictors["optimal preconditioned step"] = GradientStep(claim.gd_form_gamma)
        predictors["best plain GD step"] = GradientStep(plain)
    predictors |= {
        f"ridge (λ = {noise**2:g})": Ridge(noise**2),
        "least squares": LeastSquares(),
        "predicting 0": Zero(),
    }
    found = simulate_row_risks(
        predictors,
        rows,
        labels,
        context_length=setting.prompt.context_length,
        num_prompts=2**15,
        key=jr.fold_in(jr.key(setting.training.seeds[0]), 77),
    )
    return {name: vars(estimate) for name, estimate in found.items()}


def _report(data: Mapping[str, dict[str, Any]], size: Size) -> Sequence[Section]:
    case = data["comparison"]
    claim, cases = case["claim"], {case["label"]: case}
    table = Table(
        "Exact theory, the trained layer (worst seed ± standard error) and references; "
        "risks are against the noiseless target.",
        list(comparison_row(case)),
        [comparison_row(case)],
    )
    paragraphs = [
        f"What theory says: {claim['form'].replace('_', ' ')}. {claim['reason']}"
    ]
    verdicts, drawn = [], []
    if case["checks"]:
        verdicts = [
            Verdict(c["name"], c["passed"], _check_text(c)) for c in case["checks"]
        ]
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
                "loss_curves",
                "Exact risk along training.",
                partial(figures.loss_curves, cases),
            ),
            Figure(
                "context_length",
                "Risk at other context lengths at test time.",
                partial(figures.context_curves, cases),
            ),
        ]
    sections = [Section("Theory and training", paragraphs, [table], drawn, verdicts)]
    if "real_labels" in case:
        sections.append(_real_label_section(case["real_labels"]))
    return sections


def _check_text(check: dict[str, Any]) -> str:
    value = "not finite" if check["value"] is None else f"{check['value']:.3g}"
    return f"{check['text']}: {value} (limit {check['limit']:g})"


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
