"""What the options of `iclax theory` add: angles, gradient flow, certificates."""

from math import isfinite, nan
from typing import TYPE_CHECKING, Any

from .._errors import SettingError

if TYPE_CHECKING:
    from ..prompts import PromptDistribution


def parse_angles(text: str) -> list[float]:
    """Degrees from "0,30,60"; raises `SettingError` for anything else."""
    try:
        angles = [float(part) for part in text.split(",")]
    except ValueError:
        angles = [nan]
    if not all(map(isfinite, angles)):
        raise SettingError(
            "--angles", f'"{text}"', "degrees separated by commas, such as 0,30,60,90"
        )
    return angles


def angle_numbers(prompts: "PromptDistribution", text: str) -> dict[str, Any]:
    """`angle_risk` at each angle, against the noiseless target; exact."""
    from .. import theory as exact

    angles = parse_angles(text)
    return {"angles": angles, "angle_risk": exact.angle_risks(prompts, angles)}


def flow_numbers(
    prompts: "PromptDistribution", flow: str, init: float, objective: str
) -> dict[str, Any]:
    """Times and final risk of the gradient flow θ' = −½ ∂R, with its conventions."""
    from .. import theory as exact

    found = exact.flow(prompts, flow, init=init, objective=objective)
    return {
        "half_drop_time": found.half_drop_time,
        "escape_time": found.escape_time,
        "final_risk": found.final_risk,
        "flow": {
            "parametrization": flow,
            "objective": objective,
            "start": found.start,
            "convention": "theta' = -1/2 dR/dtheta",
            "half_drop_time": "first time the loss has made half of its drop",
            "escape_time": "loss first below 0.8 of the zero-predictor loss",
            "converged": found.converged,
        },
    }


def certificate_numbers(prompts: "PromptDistribution") -> dict[str, Any]:
    """A test of the claim that the GD form Γ* is the best head of the full layer."""
    from .. import theory as exact

    found = exact.certify(exact.optimal_preconditioner(prompts), prompts)
    better = found.counterexample
    return {
        "gradient_norm": found.gradient_norm,
        "smallest_hessian_eigenvalue": found.smallest_hessian_eigenvalue,
        "lower_risk_found": bool(found.lower_risk_found),
        "best_risk": found.best_risk,
        "certificate": {
            "claim": "the GD form gamma minimizes the risk of full linear attention",
            "starts": found.starts,
            "proven_for_any_number_of_heads": found.proven,
            "heads_gradient_norm": found.heads_gradient_norm,
            "counterexample": None if better is None else better._asdict(),
        },
    }


def option_rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    """The lines that the options add to the printed table."""
    rows = []
    if "angle_risk" in result:
        pairs = zip(result["angles"], result["angle_risk"], strict=True)
        rows += [
            ("angle_risk" if i == 0 else "", f"{risk:.10g}   at {angle:g}°")
            for i, (angle, risk) in enumerate(pairs)
        ]
    if "flow" in result:
        flow = result["flow"]
        start = f"{flow['parametrization']}, {flow['objective']}; {flow['start']}"
        rows += [
            ("half_drop_time", f"{result['half_drop_time']:.8g}   θ' = −½ ∂R, {start}"),
            (
                "escape_time",
                f"{result['escape_time']:.8g}   loss below 0.8 of zero_risk",
            ),
            ("final_risk", f"{result['final_risk']:.10g}   where the flow ends"),
        ]
    if "certificate" in result:
        found = "yes: not the minimizer" if result["lower_risk_found"] else "no"
        proof = result["certificate"]["proven_for_any_number_of_heads"]
        rows += [
            (
                "gradient_norm",
                f"{result['gradient_norm']:.3g}   full layer at the GD form",
            ),
            ("smallest_hessian", f"{result['smallest_hessian_eigenvalue']:.3g}"),
            ("lower_risk_found", f"{found}; lowest {result['best_risk']:.10g}"),
            ("proven", "yes, for any number of heads" if proof else "no"),
        ]
    return rows
