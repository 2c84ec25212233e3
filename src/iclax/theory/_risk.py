"""The exact risk of whatever predictor has one."""

from functools import singledispatch
from typing import Any

import numpy as np
from jaxtyping import Float

from .._arrays import Array, as_array, is_concrete, is_traced, namespace
from .._errors import AssumptionError
from .._forms import (
    AttentionForm,
    DescentForm,
    Form,
    PosteriorForm,
    RidgeForm,
    StepForm,
    stated_form,
)
from ..prompts import PromptDistribution
from ..tasks import weight_law
from ._full_attention import attention_risk
from ._full_attention_weights import Attention, as_attention, effective_preconditioner
from ._inputs import as_preconditioner
from ._one_layer import preconditioner_risk
from ._reference_risks import bayes_risk, gradient_descent_risk, ridge_risk


def risk(predictor: Any, prompts: PromptDistribution) -> Float[Array, ""]:
    """The exact risk E(ŷ − f(x_q))² of a predictor on `prompts`, all of it.

    `predictor` is a layer of linear attention (a model or its weights (a, Q), of any
    number of heads), a preconditioner Γ or a step, plain gradient descent, ridge
    regression, least squares, a Gaussian posterior mean, or any object with a `form()`
    method that returns a record of `iclax._forms`. Nothing is dropped: where no exact
    risk is known, `AssumptionError` says what is missing. JAX arrays inside are taken
    in float64 NumPy. Simulated counterpart: `iclax.evaluation.simulate_risks`.
    """
    return _risk_of(_form_of(predictor), prompts)


def risks_at_lengths(
    predictor: Any, prompts: PromptDistribution, lengths: Float[Array, " m"] | Any
) -> Float[Array, " m"]:
    r"""`risk` of a layer or a step at each of the context lengths `lengths`; exact.

    The risk is a polynomial of degree two in 1/n (in n for a layer that is not divided
    by n), because given f the examples are independent: three lengths say all of it.
    NumPy only. Raises `AssumptionError` for other predictors and where `risk` does.
    """
    form, lengths = _form_of(predictor), np.asarray(lengths, dtype=np.float64)
    if not isinstance(form, AttentionForm | StepForm):
        raise AssumptionError(
            "risks at many context lengths",
            "a layer of linear attention, or a step",
            "ask `theory.risk` at one length after the other",
        )
    grows = isinstance(form, AttentionForm) and form.divisor is not None
    variable = (lambda n: n) if grows else (lambda n: 1 / n)
    last = int(np.max(lengths)) + 2  # nodes around all lengths: nothing is amplified
    nodes = np.array([1.0, last // 2 + 1 if grows else 2, last])
    values = [risk(form, prompts.replace(context_length=int(n))) for n in nodes]
    at, known = variable(lengths)[:, None], variable(nodes)
    total = np.zeros(len(lengths))
    for i, value in enumerate(values):
        others = np.delete(known, i)[None]
        total += value * np.prod((at - others) / (known[i] - others), axis=1)
    return total


def _form_of(predictor: Any) -> Any:
    if isinstance(predictor, Form):
        return predictor
    if isinstance(predictor, tuple) and len(predictor) == 2:
        return AttentionForm(*as_attention(*predictor))
    if hasattr(predictor, "readout") and hasattr(predictor, "key_query"):
        return AttentionForm(*as_attention(predictor.readout, predictor.key_query))
    if not callable(predictor):
        return StepForm(predictor)
    found = stated_form(predictor)
    if found is None:
        raise AssumptionError(
            f"the exact risk of {type(predictor).__name__}",
            "a predictor that states what it computes (`form()`)",
            "simulate it: iclax.evaluation.simulate_risks",
        )
    return found


@singledispatch
def _risk_of(form: Any, prompts: PromptDistribution) -> Float[Array, ""]:
    raise AssumptionError(
        "an exact risk", f"a form that theory knows (found {form})", "simulate it"
    )


@_risk_of.register
def _(form: AttentionForm, prompts: PromptDistribution) -> Float[Array, ""]:
    a, q = (_plain(part) for part in form[:2])
    try:
        return attention_risk(
            a, q, prompts, include_query=form.include_query, divisor=form.divisor
        )
    except AssumptionError:
        if form.include_query or not _is_gd_form(Attention(a, q)):
            raise
    factor = 1 if form.divisor is None else prompts.context_length / form.divisor
    return preconditioner_risk(factor * effective_preconditioner(a, q), prompts)


def _is_gd_form(weights: Attention) -> bool:
    """Whether nothing but x_qᵀ Γ b is computed: no head reads x, or labels by keys."""
    a, q = weights
    known = is_concrete(a) and is_concrete(q)
    return known and not np.any(a[:, :-1]) and not np.any(q[:, -1])


@_risk_of.register
def _(form: StepForm, prompts: PromptDistribution) -> Float[Array, ""]:
    gamma = as_array(_plain(form.preconditioner))
    if gamma.ndim == 0:
        gamma = gamma * namespace(gamma).eye(prompts.dim)
    return preconditioner_risk(as_preconditioner(gamma, prompts.dim), prompts)


@_risk_of.register
def _(form: DescentForm, prompts: PromptDistribution) -> Float[Array, ""]:
    return gradient_descent_risk([_plain(step) for step in form.step_sizes], prompts)


@_risk_of.register
def _(form: RidgeForm, prompts: PromptDistribution) -> Float[Array, ""]:
    return ridge_risk(prompts, _plain(form.penalty))


@_risk_of.register
def _(form: PosteriorForm, prompts: PromptDistribution) -> Float[Array, ""]:
    """The Bayes risk where the prior is the tasks' own; ridge where it is isotropic."""
    mean, factor, sigma = (_plain(part) for part in form)
    cov, law = factor @ factor.T, weight_law(prompts.tasks)
    if law is not None and len(law.weights) == 1:
        same = np.array_equal(mean, law.means[0]) and np.allclose(
            cov, law.factors[0] @ law.factors[0].T, rtol=1e-12, atol=0
        )
        if same and sigma == prompts.noise_std:
            return bayes_risk(prompts)
    scale = cov[0, 0]
    if np.any(mean) or scale == 0 or not np.array_equal(cov, scale * np.eye(len(cov))):
        raise AssumptionError(
            "the exact risk of a Gaussian posterior mean",
            "the prior and the noise of the prompts, or a prior N(0, ψ²I)",
            "simulate it",
        )
    return ridge_risk(prompts, sigma**2 / scale)


def _plain(value: Any) -> Any:
    """Numbers in float64; traced ones stay as they are."""
    return value if is_traced(value) else np.asarray(value, dtype=np.float64)[()]
