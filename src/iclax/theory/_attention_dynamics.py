"""Dynamics of the full linear self-attention layer on its exact risk."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from jaxtyping import Float

from .._arrays import Array
from .._errors import SettingError
from ..prompts import PromptDistribution
from ._descent import as_optimizer, run_optimizer, step_curve
from ._flow import LossCurve
from ._full_attention import (
    gradient_from_attention_moments,
    risk_from_attention_moments,
)
from ._full_attention_moments import attention_moments
from ._full_attention_weights import Attention


@dataclass(frozen=True, eq=False)
class AttentionDynamics:
    """Training of a full layer: its losses at `times` (or steps) and its last weights.

    Half-drop and escape as in `LossCurve`, the drop counted to the last loss.
    """

    times: Float[Array, " m"]
    losses: Float[Array, " m"]
    half_drop_time: float
    escape_time: float
    final_risk: float
    weights: Attention
    start: str


def attention_flow(
    prompts: PromptDistribution,
    *,
    end_time: float,
    init: float = 1e-4,
    heads: int = 1,
    start: str | Attention = "gd",
    seed: int = 0,
    include_query: bool = False,
) -> AttentionDynamics:
    r"""Gradient flow $\dot\theta = -\frac12 \partial R$ of all of (a_h, Q_h).

    With w₀ = `init`, `start` = "gd" is a = (0; w₀), Q = (w₀ I/√d; 0): for tasks f and
    −f equal in law it stays in the GD form and is the merged flow of `flow`. "random"
    draws Gaussian a and Q of norm w₀ for every head from `seed`; weights are taken as
    they are. Float64 NumPy, LSODA; `end_time` is needed, for the minimum is not known.
    """
    m, (weights, stated) = (
        attention_moments(prompts),
        _start(prompts.dim, init, heads, start, seed),
    )
    shapes = [part.shape for part in weights]
    split = weights[0].size

    def unpack(y: Array) -> Attention:
        return Attention(y[:split].reshape(shapes[0]), y[split:].reshape(shapes[1]))

    def velocity(_: float, y: Array) -> Array:
        slope = gradient_from_attention_moments(unpack(y), m, include_query)
        return np.concatenate([-part.ravel() / 2 for part in slope])

    y = np.concatenate([part.ravel() for part in weights])
    found = scipy.integrate.solve_ivp(
        velocity,
        (0.0, end_time),
        y,
        method="LSODA",
        rtol=1e-9,
        atol=1e-12 * float(np.max(np.abs(y))),
        dense_output=True,
    )
    risk = lambda y: float(risk_from_attention_moments(unpack(y), m, include_query))
    losses = np.array([risk(y) for y in found.y.T])
    coarse = step_curve(losses, float(m.power))
    levels = (losses[0] + losses[-1]) / 2, 0.8 * float(m.power)
    half, escape = (
        _crossing(lambda t: risk(found.sol(t)), found.t, index, level)
        for index, level in zip(
            (coarse.half_drop_time, coarse.escape_time), levels, strict=True
        )
    )
    last = unpack(found.y[:, -1])
    return AttentionDynamics(
        found.t, losses, half, escape, float(losses[-1]), last, stated
    )


def attention_descent(
    prompts: PromptDistribution,
    *,
    optimizer: str | Any = "gd",
    learning_rate: float = 1e-2,
    steps: int = 10_000,
    init: float = 1e-4,
    heads: int = 1,
    start: str | Attention = "gd",
    seed: int = 0,
    include_query: bool = False,
) -> AttentionDynamics:
    """Gradient descent, momentum or Adam on the exact risk of the full layer.

    The starts are those of `attention_flow`, the optimizers those of `descend`; `times`
    are steps.
    """
    m = attention_moments(prompts)
    weights, stated = _start(prompts.dim, init, heads, start, seed)
    risk = lambda weights: risk_from_attention_moments(weights, m, include_query)
    chosen = as_optimizer(optimizer, learning_rate)
    losses, _, last = run_optimizer(risk, weights, chosen, steps)
    curve: LossCurve = step_curve(losses, float(m.power))
    times = (curve.half_drop_time, curve.escape_time)
    steps_made = np.arange(len(losses), dtype=np.float64)
    return AttentionDynamics(
        steps_made, losses, *times, float(losses[-1]), last, stated
    )


def _start(
    dim: int, init: float, heads: int, start: str | Attention, seed: int
) -> tuple[Attention, str]:
    if not isinstance(start, str):
        a, q = (np.asarray(part, np.float64) for part in start)
        return Attention(a, q), "given weights"
    if start == "gd":
        readout, key_query = np.zeros((heads, dim + 1)), np.zeros((heads, dim + 1, dim))
        readout[:, -1] = init
        key_query[:, :dim] = init / dim**0.5 * np.eye(dim)
        return Attention(readout, key_query), (
            f"a = (0; {init:g}), Q = ({init:g} I / sqrt(d); 0)"
        )
    if start != "random":
        raise SettingError("start", repr(start), '"gd", "random" or weights')
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((heads, dim + 1))
    q = rng.standard_normal((heads, dim + 1, dim))
    a *= init / np.linalg.norm(a, axis=1, keepdims=True)
    q *= init / np.linalg.norm(q, axis=(1, 2), keepdims=True)
    return Attention(a, q), f"a and Q Gaussian of norm {init:g} (seed {seed})"


def _crossing(value: Any, times: Array, index: float, level: float) -> float:
    if np.isnan(index) or index == 0:
        return float(index)
    low, high = times[int(index) - 1], times[int(index)]
    excess = lambda t: value(t) - level
    if excess(low) * excess(high) >= 0:
        return float(high)
    return float(scipy.optimize.brentq(excess, low, high))
