"""`iclax theory`: the exact numbers of a setting, at once."""

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
        test: Another setting: also the risk of the training optimum on its law.
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

    prompts = load_setting(setting).prompts()
    result = theory_numbers(prompts)
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


def theory_numbers(prompts: "PromptDistribution") -> dict[str, Any]:
    """The numbers that `iclax theory` always prints, by their JSON names."""
    from .. import theory as exact

    step = exact.best_plain_step(prompts)
    return {
        "gamma": exact.optimal_preconditioner(prompts),
        "risk": exact.optimal_risk(prompts),
        "zero_risk": exact.zero_risk(prompts),
        "gd_step": step.step,
        "gd_step_without_mean": step.without_mean(prompts.context_length),
        "gd_risk": step.risk,
        "dim": prompts.dim,
        "context_length": prompts.context_length,
        "noise_std": prompts.noise_std,
        "convention": "y_hat = x_q^T gamma (1/n) sum_i y_i x_i; risk: noiseless target",
        "uncertainty": "exact",
    }


def _show(setting: Path, prompts: "PromptDistribution", result: dict[str, Any]) -> None:
    from ._output import matrix_text, print_table
    from ._theory_options import option_rows

    print(f"{setting}: exact theory of one GD-form attention layer")
    print(
        f"  d = {prompts.dim}, n = {prompts.context_length}, "
        f"σ = {prompts.noise_std:g}; every number is exact (float64)"
    )
    rows = [
        ("risk", f"{result['risk']:.10g}   optimal preconditioned step"),
        ("gd_risk", f"{result['gd_risk']:.10g}   best plain GD step"),
        ("zero_risk", f"{result['zero_risk']:.10g}   always predicting 0"),
        ("gd_step", f"{result['gd_step']:.10g}   with 1/n: ŷ = η x_q·(1/n)Σ y_i x_i"),
        ("", f"{result['gd_step_without_mean']:.10g}   without: ŷ = η x_q·Σ y_i x_i"),
    ]
    if "test_risk" in result:
        rows.insert(1, ("test_risk", f"{result['test_risk']:.10g}   on the test law"))
    print_table(rows + option_rows(result))
    print("  gamma (with 1/n: ŷ = x_qᵀ Γ (1/n)Σ y_i x_i)")
    print(matrix_text(result["gamma"]))
