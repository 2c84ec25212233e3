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

_SAME = 1e-12  # share of the power up to which two exact risks are one

# What each form says of the optimum, as the predicate of a sentence about the layer.
FORMS = {
    "plain": "one plain GD step",
    "preconditioned": "one preconditioned GD step",
    "full": "not a GD step: the full layer beats every GD form",
    "gd_form_only": "not known: only the best GD form has exact theory here",
    "unknown": "not known: there is no exact theory for this setting",
}


@dataclass(frozen=True, eq=False)
class Claim:
    """What theory says about the best one-layer linear attention on `prompts`.

    `form` is a key of `FORMS` and `reason` says why, or which assumption is missing.
    `gamma` is the Γ of the claimed optimum (1/n convention), `layer_risk` its exact
    risk; `risk` and `gd_form_gamma` belong to the best GD form, `gd_risk` and `gd_step`
    to the best plain step. `no_context_risk` is that of the best function of the query.
    """

    prompts: PromptDistribution
    form: str
    reason: str
    gamma: Any = None
    layer_risk: Any = None
    gd_form_gamma: Any = None
    risk: Any = None
    zero_risk: Any = None
    no_context_risk: Any = None
    gd_step: Any = None
    gd_risk: Any = None
    weights: Any = None
    include_query: bool = False

    @property
    def known(self) -> bool:
        """Whether there is an exact optimum, of the layer or at least of a GD form."""
        return self.gamma is not None

    @property
    def gd_step_without_mean(self) -> Any:
        """The best plain step in the convention without 1/n."""
        return self.gd_step / self.prompts.context_length if self.known else None

    def predictor(self) -> Any:
        """The claimed optimum as a predictor of one prompt."""
        if self.weights is None:
            return GradientStep(self.gamma)
        a, q = (jnp.asarray(part) for part in self.weights)
        return LinearAttention(q, a, None, None, include_query=self.include_query)

    @property
    def rival_risk(self) -> float | None:
        """The exact risk of the best predictor of the form that the layer leaves.

        The best plain step where the optimum is preconditioned, the best GD form where
        it is not of that form; None where the optimum is a plain step.
        """
        return {"preconditioned": self.gd_risk, "full": self.risk}.get(self.form)

    def rival(self) -> Any:
        """That predictor."""
        if self.form == "preconditioned":
            return GradientStep(self.gd_step * np.eye(self.prompts.dim))
        return GradientStep(self.gd_form_gamma) if self.form == "full" else None


def exact_claim(prompts: PromptDistribution, include_query: bool = False) -> Claim:
    """The exact theory of `prompts`, or the reason why there is none."""
    try:
        layer = theory.layer_optimum(prompts, include_query=include_query)
    except AssumptionError as error:
        return Claim(prompts, "unknown", str(error))
    m = theory.prompt_moments(prompts)
    step = m.best_plain_step()
    form = {True: "preconditioned", False: "full", None: "gd_form_only"}[
        layer.is_gd_form
    ]
    if form == "preconditioned" and step.risk - layer.risk <= _SAME * m.power:
        form = "plain"
    return Claim(
        prompts,
        form,
        layer.reason,
        gamma=np.asarray(layer.gamma),
        layer_risk=float(layer.risk),
        gd_form_gamma=m.optimum(),
        risk=float(layer.gd_risk),
        zero_risk=float(m.power),
        no_context_risk=_no_context_risk(prompts),
        gd_step=float(step.step),
        gd_risk=float(step.risk),
        weights=layer.weights,
        include_query=include_query,
    )


def _no_context_risk(prompts: PromptDistribution) -> float | None:
    try:
        return float(theory.no_context_risk(prompts))
    except AssumptionError:
        return None
