"""Answers by simulation: every number comes with its standard error."""

from ._risk import (
    Estimate as Estimate,
    simulate_gap as simulate_gap,
    simulate_risks as simulate_risks,
)
