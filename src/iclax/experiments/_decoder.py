"""The decoder of a recipe's plan."""

from typing import Any

from ..models import GPT


def plan_decoder(plan: Any, num_points: int, key: Any, **options: Any) -> GPT:
    """A GPT of the plan's `dim`, `layers`, `heads` and `width`, before training."""
    return GPT.init(
        plan.dim,
        num_points,
        layers=plan.layers,
        heads=plan.heads,
        width=plan.width,
        key=key,
        **options,
    )
