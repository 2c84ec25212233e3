"""What a predictor computes, as numbers that theory can read.

A predictor whose algorithm has exact theory states it by a method `form()`; predictors
and theory share these plain records and no code.
"""

from typing import Any, NamedTuple

from ._inherit import stale


class AttentionForm(NamedTuple):
    r"""One layer of linear attention, $\hat y = \frac1m \sum_h a_h^T G Q_h x_q$.

    `readout` a is (h, d + 1), `key_query` Q is (h, d + 1, d), m = `divisor` or n where
    None; with `include_query` G also holds the query token.
    """

    readout: Any
    key_query: Any
    include_query: bool = False
    divisor: Any = None


class StepForm(NamedTuple):
    r"""One step of gradient descent, $\hat y = x_q^T \Gamma b$; a number stands for a
    multiple of I (1/n convention)."""

    preconditioner: Any


class DescentForm(NamedTuple):
    """Several steps of plain gradient descent from 0, a step size each."""

    step_sizes: tuple[Any, ...]


class RidgeForm(NamedTuple):
    """Ridge regression with this penalty; 0 is least squares."""

    penalty: Any


class PosteriorForm(NamedTuple):
    """The posterior mean for w ~ N(`mean`, F Fᵀ), F = `factor`, and label noise."""

    mean: Any
    factor: Any
    noise_std: Any


Form = AttentionForm | StepForm | DescentForm | RidgeForm | PosteriorForm


def stated_form(predictor: Any) -> Form | None:
    """The form of a predictor that states one; None for any other.

    A subclass that predicts otherwise has not the form of its parent.
    """
    if not hasattr(predictor, "form") or stale(predictor, ("__call__",), ("form",)):
        return None
    return predictor.form()
