"""How much longer a union takes to escape than one subspace, censored runs included."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...evaluation import Interval, bootstrap_ratio
from .._steps import reached_or_last

_WORDS = {"": "", "≥": "at least ", "≤": "at most "}


def counted_times(union: Mapping[str, Any], name: str) -> np.ndarray:
    """Times of all seeds; one that never came counts as the last step."""
    return np.maximum(reached_or_last(union[name], union["last_step"]), 1.0)


@dataclass(frozen=True)
class EscapeRatio:
    """Escape steps over those of one subspace. It is a bound where runs of one side had
    not escaped ("≥": of the union, "≤": of one subspace) and unknown ("–") where both.
    """

    interval: Interval
    bound: str

    @classmethod
    def of(cls, union: Mapping[str, Any], one: Mapping[str, Any]) -> "EscapeRatio":
        """The ratio of two trainings, runs that never escaped at the last step."""
        up, down = (any(t is None for t in u["escape"]) for u in (union, one))
        bound = "–" if up and down else "≥" if up else "≤" if down else ""
        times = [counted_times(u, "escape") for u in (union, one)]
        return cls(bootstrap_ratio(*times), bound)

    def __str__(self) -> str:
        if self.bound == "–":
            return "–"
        return f"{self.bound} {self.interval:.2f}".strip()

    @property
    def direction(self) -> str:
        """Whether the union takes longer, where the bound leaves that decided."""
        found = self.interval.side(1.0, "shorter", "longer")
        allowed = {"": found, "≥": "longer", "≤": "shorter"}.get(self.bound)
        return found if found == allowed else "not decided"

    def sentence(self, components: str) -> str:
        """What the runs say, in words."""
        if self.bound == "–":
            return (
                f"runs with {components} subspaces and with one had not escaped by the "
                "end of training: not decided."
            )
        return (
            f"escape takes {_WORDS[self.bound]}{self.interval} times as long "
            f"with {components} subspaces as with one (mean objective, Adam): "
            f"{self.direction}."
        )
