"""When a run may stop early."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """Stop a run at the first record whose `name` is at most `below`.

    `name` is "loss" or a name that `watch` returns.
    """

    name: str
    below: float
