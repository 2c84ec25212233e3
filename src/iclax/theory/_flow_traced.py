"""The same gradient flows inside JAX: jit, vmap and gradients."""

from functools import cache
from typing import Any, NamedTuple

from jaxtyping import Float

from .._arrays import Array, is_concrete
from .._errors import SettingError
from .._lazy import LazyModule, jax, jnp
from ..prompts import PromptDistribution
from ._flow_problem import objective_moments, separable_risk
from ._flow_stepper import MAX_STEPS, advance, tolerances
from ._merged_entries import merged_entries
from ._one_layer import PromptMoments, risk_from_moments
from ._parametrizations import Merged, Parametrization, Weights, make_parametrization

diffrax: Any = LazyModule("diffrax")


class _Separable(NamedTuple):
    """The risk where its moments are known numbers (see `SeparableRisk`)."""

    decay: Array
    drive: Array
    power: Array
    minimum: Array

    def risk(self, g: Array) -> Array:
        return jnp.sum((self.decay * g - 2 * self.drive) * g) + self.power

    def residual(self, g: Array) -> Array:
        return self.drive - self.decay * g


class _General(NamedTuple):
    """The risk where its moments are traced: no eigenvectors, whose gradients fail."""

    moments: tuple[Array, Array, Array, Array]
    power: Array
    minimum: Array

    def risk(self, g: Array) -> Array:
        return risk_from_moments(g, PromptMoments(*self.moments))

    def residual(self, g: Array) -> Array:
        query, cross, gradient, _ = self.moments
        return cross.T - query @ g @ gradient


class _Problem(NamedTuple):
    law: _Separable | _General
    start: Weights


def flow_losses(
    times: Float[Array, " m"] | Any,
    prompts: PromptDistribution | PromptMoments,
    parametrization: str | Parametrization = "merged",
    *,
    init: float | Float[Array, ""] = 1e-4,
    objective: str = "mean",
    heads: int = 1,
    rank: int | None = None,
    start: str | Weights | None = None,
    seed: int = 0,
) -> Float[Array, " m"]:
    """The losses of `flow` at `times` (increasing, from 0 on), as a JAX array.

    The arguments are those of `flow`. `init`, the arrays of `start` and anything inside
    `prompts` may be traced: map it over starts and settings with `jax.vmap`,
    differentiate it with `jax.grad`. Float64 needs JAX's x64 switch. The method is
    explicit: times far in a stiff tail give nan after 16384 steps.
    """
    options = (init, objective, heads, rank, start, seed)
    kind, problem = _traced(prompts, parametrization, *options)
    return _losses(kind)(problem, jnp.asarray(times, dtype=float))


def flow_time(
    level: str | float | Float[Array, ""],
    prompts: PromptDistribution | PromptMoments,
    parametrization: str | Parametrization = "merged",
    *,
    init: float | Float[Array, ""] = 1e-4,
    objective: str = "mean",
    heads: int = 1,
    rank: int | None = None,
    start: str | Weights | None = None,
    seed: int = 0,
) -> Float[Array, ""]:
    """When the loss of `flow` is first below `level`: "half_drop", "escape" or a loss.

    Other arguments as in `flow_losses`; its gradients are exact too. nan where the
    level is not reached in 16384 steps.
    """
    options = (init, objective, heads, rank, start, seed)
    kind, problem = _traced(prompts, parametrization, *options)
    return _time(kind)(problem, _level(level, kind, problem))


def _level(level: str | float | Array, kind: Parametrization, problem: _Problem) -> Any:
    if not isinstance(level, str):
        return jnp.asarray(level, dtype=float)
    if level == "half_drop":
        return (problem.law.risk(kind.gamma(problem.start)) + problem.law.minimum) / 2
    if level == "escape":
        return 0.8 * problem.law.power
    raise SettingError("level", repr(level), '"half_drop", "escape" or a loss')


# Values come from a plain loop, which is several times faster than a differentiable
# one. Gradients solve again with Diffrax, up to times that are known by then.


@cache
def _losses(kind: Parametrization) -> Any:
    def plain(problem: _Problem, times: Array) -> Array:
        field, always = _field(kind, problem.law), lambda y: True

        def piece(carry: tuple, span: Array) -> tuple:
            y, step = carry
            t, y, step = advance(field, y, span, always, step)
            return (y, step), problem.law.risk(kind.gamma(y)) + 0 * t

        spans = jnp.diff(times, prepend=0.0)
        # The first step size: from a stretch of no length.
        _, _, step = advance(field, problem.start, 0.0, always)
        return jax.lax.scan(piece, (problem.start, step), spans)[1]

    def differentiable(problem: _Problem, times: Array) -> Array:
        save = lambda t, y, args: problem.law.risk(kind.gamma(y))
        return _diffrax(kind, problem, times[-1], diffrax.SaveAt(ts=times, fn=save))

    return _with_gradient(plain, lambda value, *inputs: differentiable(*inputs))


@cache
def _time(kind: Parametrization) -> Any:
    def plain(problem: _Problem, level: Array) -> Array:
        law, field = problem.law, _field(kind, problem.law)
        above = lambda y: law.risk(kind.gamma(y)) >= level
        t, y, _ = advance(field, problem.start, jnp.inf, above)
        return t + _time_back(law, field, kind, y, level)

    def differentiable(time: Array, problem: _Problem, level: Array) -> Array:
        y = _diffrax(kind, problem, time, diffrax.SaveAt(t1=True))
        y = jax.tree.map(lambda part: part[-1], y)
        loss = problem.law.risk(kind.gamma(y))
        velocity = _field(kind, problem.law)(y)
        speed = -2 * sum(jnp.sum(part**2) for part in velocity)
        # The implicit function theorem on loss(time) = level.
        return (level - loss) / jax.lax.stop_gradient(speed)

    return _with_gradient(plain, differentiable)


def _with_gradient(plain: Any, differentiable: Any) -> Any:
    """`plain`, with the gradient of `differentiable`(its value, *its inputs)."""
    function = jax.custom_vjp(plain)

    def forward(*inputs: Any) -> tuple[Any, Any]:
        value = plain(*inputs)
        return value, (value, inputs)

    def backward(saved: Any, cotangent: Any) -> Any:
        value, inputs = saved
        return jax.vjp(lambda *args: differentiable(value, *args), *inputs)[1](
            cotangent
        )

    function.defvjp(forward, backward)
    return function


def _field(kind: Parametrization, law: _Separable | _General) -> Any:
    return lambda y: kind.velocity(y, law.residual(kind.gamma(y)))


def _diffrax(kind: Parametrization, problem: _Problem, end: Any, save: Any) -> Any:
    field = _field(kind, problem.law)
    rtol, atol = tolerances(problem.start)
    return diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: field(y)),
        diffrax.Tsit5(),
        0.0,
        end,
        None,
        problem.start,
        saveat=save,
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        max_steps=MAX_STEPS,
        throw=False,
    ).ys


def _time_back(law: Any, field: Any, kind: Parametrization, y: Any, level: Any) -> Any:
    """The (negative) time from y, less than one step too far, back to `level`.

    The loss falls strictly, so it can be the independent variable:
    dθ/dL = θ'/L', dt/dL = 1/L' with L' = −2 |θ'|², by 16 classical Runge–Kutta steps.
    """
    step = (level - law.risk(kind.gamma(y))) / 16

    def per_loss(y: Any) -> tuple[Any, Any]:
        velocity = field(y)
        speed = -2 * sum(jnp.sum(part**2) for part in velocity)
        return tuple(part / speed for part in velocity), 1 / speed

    def move(y: Any, slope: Any, by: Any) -> Any:
        return jax.tree.map(lambda a, b: a + by * b, y, slope)

    def one(carry: tuple, _: Any) -> tuple[Any, None]:
        y, time = carry
        k1 = per_loss(y)
        k2 = per_loss(move(y, k1[0], step / 2))
        k3 = per_loss(move(y, k2[0], step / 2))
        k4 = per_loss(move(y, k3[0], step))
        mean = jax.tree.map(
            lambda a, b, c, d: (a + 2 * b + 2 * c + d) / 6, k1, k2, k3, k4
        )
        return (move(y, mean[0], step), time + step * mean[1]), None

    return jax.lax.scan(one, (y, jnp.zeros_like(step)), None, length=16)[0][1]


def _traced(
    prompts: PromptDistribution | PromptMoments,
    parametrization: str | Parametrization,
    init: float | Array,
    objective: str,
    heads: int,
    rank: int | None,
    start: str | Weights | None,
    seed: int,
) -> tuple[Parametrization, _Problem]:
    m = objective_moments(prompts, objective)
    dim = m.query.shape[0]
    kind = make_parametrization(parametrization, dim, heads, rank)
    if start is None or isinstance(start, str):
        unit = kind.start(dim, 1.0, start or kind.default_start(dim), seed)
    else:
        unit, init = tuple(start), 1.0
    parts = (m.query, m.cross, m.gradient, m.power)
    if all(is_concrete(part) for part in parts):
        law, unit = _separable(kind, m, unit)
    else:
        minimum = _minimum(m, kind.max_rank(dim))
        law = _General(parts, m.power, minimum)
    weights = tuple(jnp.asarray(part, dtype=float) * init for part in unit)
    return kind, _Problem(jax.tree.map(lambda a: jnp.asarray(a, float), law), weights)


def _separable(
    kind: Parametrization, moments: PromptMoments, unit: Weights
) -> tuple[_Separable, Weights]:
    """Separable coordinates, and of a merged layer only the numbers that can move."""
    full = separable_risk(moments)
    unit = kind.rotated(unit, full.left, full.right)
    decay, drive = full.decay, full.drive
    if isinstance(kind, Merged):
        entries = merged_entries(full, unit[1])
        decay, drive = entries.decay[None], entries.drive[None]
        unit = (unit[0], entries.maps[:, None])
    minimum = full.minimum(kind.max_rank(len(full.decay)))
    return _Separable(decay, drive, full.power, minimum), unit


def _minimum(moments: PromptMoments, rank: int) -> Float[Array, ""]:
    """P − the sum of the `rank` largest squared singular values of L_q⁻¹ Cᵀ L_B⁻ᵀ."""
    solve = lambda root, rhs: jax.scipy.linalg.solve_triangular(root, rhs, lower=True)
    left, right = map(jnp.linalg.cholesky, (moments.query, moments.gradient))
    whitened = solve(right, solve(left, moments.cross.T).T)
    if rank >= whitened.shape[0]:
        return moments.power - jnp.sum(whitened**2)
    values = jnp.linalg.eigvalsh(whitened @ whitened.T)
    return moments.power - jnp.sum(values[-rank:])
