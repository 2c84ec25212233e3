"""`iclax theory`: the exact numbers of a setting, at once."""

from math import log10
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from ..prompts import PromptDistribution

SettingPath = Annotated[
    tyro.conf.Positional[Path], tyro.conf.arg(metavar="SETTING.toml")
]


def theory(
    setting: SettingPath,
    /,
    test: Annotated[Path | None, tyro.conf.arg(metavar="OTHER.toml")] = None,
    angles: str | None = None,
    flow: Literal["merged", "separate", "linear"] | None = None,
    init: float = 1e-4,
    objective: Literal["mean", "sum"] = "mean",
    certify: tyro.conf.FlagCreatePairsOff[bool] = False,
    json: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> None:
    """Exact optimum and risks of one GD-form attention layer; nothing is trained.

    Args:
        setting: The setting file.
        test: Another setting: also the risk of the training optimum on its prompts.
        angles: Degrees such as 0,30,60,90: risk on the test subspace cos θ U_1 +
            sin θ U_2 (low_rank tasks; with one component U_2 is orthogonal to U_1).
        flow: Gradient flow θ' = −½ ∂R: half-drop and escape time, final risk.
        init: The size w₀ of the flow's start (merged: v = w₀, A = w₀ I/√d).
        objective: What the flow minimizes: mean or sum of the component losses.
        certify: Test that the GD form is the best head of full linear attention.
        json: Print one JSON object at full precision.
    """
    from .. import theory as exact
    from ..settings import load_setting
    from ._output import print_json
    from ._theory_options import angle_numbers, certificate_numbers, flow_numbers

    stated = load_setting(setting)
    prompts = stated.prompts()
    result = theory_numbers(prompts, getattr(stated.model, "include_query", False))
    if test is not None:
        other = load_setting(test).prompts()
        result["test_risk"] = exact.preconditioner_risk(result["gamma"], other)
    if angles is not None:
        result |= angle_numbers(prompts, angles)
    if flow is not None:
        result |= flow_numbers(prompts, flow, init, objective)
    if certify:
        result |= certificate_numbers(prompts)
    if json:
        print_json(result)
    else:
        _show(setting, prompts, result)


def theory_numbers(
    prompts: "PromptDistribution", include_query: bool = False
) -> dict[str, Any]:
    """The numbers that `iclax theory` always prints, by their JSON names."""
    from .. import theory as exact

    m = exact.prompt_moments(prompts)
    step = m.best_plain_step()
    layer = exact.layer_optimum(prompts, include_query=include_query)
    return {
        "gamma": m.optimum(),
        "risk": m.least_risk(),
        "layer_risk": None if layer.is_gd_form is None else layer.risk,
        "gd_form_is_optimal": layer.is_gd_form,
        "gd_form_reason": layer.reason,
        "zero_risk": m.power,
        **_no_context(prompts),
        "gd_step": step.step,
        "gd_step_without_mean": step.without_mean(prompts.context_length),
        "gd_risk": step.risk,
        "dim": prompts.dim,
        "context_length": prompts.context_length,
        "noise_std": prompts.noise_std,
        "dropped_directions": list(m.dropped_directions),
        "condition_number": m.condition_number,
        "convention": "y_hat = x_q^T gamma (1/n) sum_i y_i x_i; risk: noiseless target",
        "uncertainty": "exact",
    }


def _no_context(prompts: "PromptDistribution") -> dict[str, Any]:
    from .. import theory as exact
    from .._errors import AssumptionError

    try:
        return {"no_context_risk": exact.no_context_risk(prompts)}
    except AssumptionError as error:
        return {"no_context_risk": None, "no_context_reason": str(error)}


def _show(setting: Path, prompts: "PromptDistribution", result: dict[str, Any]) -> None:
    from ._output import matrix_text, print_table
    from ._theory_options import option_rows

    print(f"{setting}: exact theory of one layer of linear attention")
    print(
        f"  d = {prompts.dim}, n = {prompts.context_length}, "
        f"σ = {prompts.noise_std:g}; every number is exact (float64)"
    )
    rows = [("risk", f"{result['risk']:.10g}   optimal preconditioned step (GD form)")]
    if "test_risk" in result:
        rows.append(("test_risk", f"{result['test_risk']:.10g}   on the test setting"))
    rows += [
        ("layer_risk", _layer_text(result)),
        ("gd_risk", f"{result['gd_risk']:.10g}   best plain GD step"),
        ("no_context_risk", _no_context_text(result)),
        ("zero_risk", f"{result['zero_risk']:.10g}   always predicting 0"),
        ("gd_step", f"{result['gd_step']:.10g}   with 1/n: ŷ = η x_q·(1/n)Σ y_i x_i"),
        ("", f"{result['gd_step_without_mean']:.10g}   without: ŷ = η x_q·Σ y_i x_i"),
    ]
    print_table(rows + _precision_rows(result) + option_rows(result))
    print("  gamma (with 1/n: ŷ = x_qᵀ Γ (1/n)Σ y_i x_i)")
    print(matrix_text(result["gamma"]))


def _layer_text(result: dict[str, Any]) -> str:
    """Whether the optimum of the whole layer is the GD form above it."""
    optimal, reason = result["gd_form_is_optimal"], result["gd_form_reason"]
    if optimal is None:
        return f"not known for the full layer ({reason})"
    told = "is" if optimal else "is not"
    risk = f"{result['layer_risk']:.10g}"
    return f"{risk}   the full layer, whose optimum {told} of GD form ({reason})"


def _no_context_text(result: dict[str, Any]) -> str:
    if result["no_context_risk"] is None:
        return f"not known ({result['no_context_reason']})"
    return f"{result['no_context_risk']:.10g}   the best function of the query alone"


def _precision_rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    """What was left out, and how many digits are lost, where it matters."""
    rows, condition = [], result["condition_number"]
    if any(result["dropped_directions"]):
        query, gradient = result["dropped_directions"]
        told = f"{query} directions of the query and {gradient} of b, which are 0"
        rows.append(("left out", told))
    if condition > 1e8:
        digits = max(0, int(16 - log10(condition)))
        told = f"condition number {condition:.1g}: about {digits} digits are right"
        rows.append(("precision", told))
    return rows
