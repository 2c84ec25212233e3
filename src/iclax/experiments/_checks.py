"""What a comparison must satisfy before it says that theory holds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One measured `value` held against a `limit`; `text` says what it is."""

    name: str
    value: float
    limit: float
    passed: bool
    text: str


def at_most(name: str, value: float, limit: float, text: str) -> Check:
    """Passes if `value` ≤ `limit`."""
    return Check(name, float(value), float(limit), bool(value <= limit), text)


def at_least(name: str, value: float, limit: float, text: str) -> Check:
    """Passes if `value` ≥ `limit`."""
    return Check(name, float(value), float(limit), bool(value >= limit), text)


@dataclass(frozen=True)
class Tolerances:
    """How closely a trained layer must meet theory (fractions, and standard errors).

    `gamma`: ‖Γ_learned − Γ*‖/‖Γ*‖; `risk`: excess over the exact minimum; `blocks`:
    what theory says vanishes, against the rest; `gap`: RMS distance of predictions;
    `errors`: standard errors between simulated and exact risk; `margin`: standard
    errors by which the layer must beat what theory says it beats. None: not judged.
    """

    gamma: float | None = 0.01
    risk: float = 0.005
    blocks: float | None = 0.01
    gap: float = 0.02
    errors: float = 3.0
    margin: float = 5.0


LAPTOP = Tolerances()
# Data of a user may hardly excite some directions; there weights say little, and
# what is judged is the risk and the prediction.
OWN = Tolerances(gamma=None, risk=0.01, blocks=None, gap=0.05)
TOY = Tolerances(gamma=0.1, risk=0.05, blocks=0.1, gap=0.15, errors=4.0, margin=3.0)
