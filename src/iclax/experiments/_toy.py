"""What a toy run says of a claim that it is too short for."""

from typing import Any

import numpy as np

from ..report import Verdict


def too_short(claim: str, values: Any, told: str = "") -> Verdict:
    """`claim` is not decided at toy size; it fails where `values` are not finite."""
    if not np.all(np.isfinite(values)):
        return Verdict(claim, False, "the training left the finite numbers.")
    told = f"; {told}" if told else ""
    return Verdict(claim, None, f"toy size: too short a training to tell{told}.")
