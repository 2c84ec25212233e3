"""The exact side of a comparison: what theory says a trained layer should be."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from .. import theory
from .._errors import AssumptionError
from ..models import LinearAttention
from ..predictors import GradientStep
from ..prompts import PromptDistribution


@dataclass(frozen=True, eq=False)
class Claim:
    """What theory says about the best one-layer linear attention on `prompts`.

    `form` is "plain" (one GD step), "preconditioned" (one preconditioned step),
    "full" (the layer leaves the GD form), "gd_form_only" (only the best GD-form layer
    is known) or "unknown" (`reason` says which assumption is missing).
    `gamma` is the Γ of the claimed optimum (1/n convention), `layer_risk` its exact
    risk; `risk` and `gd_form_gamma` belong to the best GD-form layer.
    """

    prompts: PromptDistribution
    form: str
    reason: str
    gamma: Any = None
    layer_risk: Any = None
    gd_form_gamma: Any = None
    risk: Any = None
    zero_risk: Any = None
    gd_step: Any = None
    gd_risk: Any = None
    layer: Any = None

    @property
    def known(self) -> bool:
        """Whether there is an exact optimum to compare with."""
        return self.gamma is not None

    @property
    def gd_step_without_mean(self) -> Any:
        """The best plain step in the convention without 1/n."""
        return self.gd_step / self.prompts.context_length if self.known else None

    def predictor(self) -> Any:
        """The claimed optimum as a predictor of one prompt."""
        if self.layer is not None:
            a, q = jnp.asarray(self.layer.readout), jnp.asarray(self.layer.key_query)
            return LinearAttention(query=q[None], readout=a[None], key=None, value=None)
        return GradientStep(self.gamma)

    def rival(self) -> Any:
        """The best predictor of the form that theory says the layer leaves behind.

        The best plain step where the optimum is preconditioned, the best GD form where
        it is not of that form; None where the optimum is a plain step.
        """
        if self.form == "preconditioned":
            return GradientStep(self.gd_step * np.eye(self.prompts.dim))
        return GradientStep(self.gd_form_gamma) if self.form == "full" else None


def exact_claim(prompts: PromptDistribution, include_query: bool = False) -> Claim:
    """The exact theory of `prompts`, or the reason why there is none."""
    try:
        gamma = np.asarray(theory.optimal_preconditioner(prompts))
    except AssumptionError as error:
        return Claim(prompts, "unknown", str(error))
    step = theory.best_plain_step(prompts)
    risk = float(theory.optimal_risk(prompts))
    found = {
        "prompts": prompts,
        "gd_form_gamma": gamma,
        "risk": risk,
        "zero_risk": float(theory.zero_risk(prompts)),
        "gd_step": float(step.step),
        "gd_risk": float(step.risk),
    }
    reason = theory.gd_form_reason(prompts)
    if reason is not None:
        plain = np.linalg.norm(gamma - step.step * np.eye(len(gamma)))
        form = "plain" if plain <= 1e-9 * np.linalg.norm(gamma) else "preconditioned"
        return Claim(form=form, reason=reason, gamma=gamma, layer_risk=risk, **found)
    try:
        layer = theory.optimal_attention(prompts, include_query=include_query)
    except AssumptionError as error:
        return Claim(
            form="gd_form_only",
            reason=str(error),
            gamma=gamma,
            layer_risk=risk,
            **found,
        )
    return Claim(
        form="full",
        reason="neither sign symmetry nor rotation invariance: the mean of f is not 0",
        gamma=np.asarray(layer.gamma),
        layer_risk=float(layer.risk),
        layer=layer,
        **found,
    )
