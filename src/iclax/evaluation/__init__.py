"""Answers by simulation: every number comes with its standard error."""

from ._against import Against as Against, simulate_against as simulate_against
from ._bootstrap import (
    Interval as Interval,
    bootstrap as bootstrap,
    bootstrap_ratio as bootstrap_ratio,
)
from ._change_points import segments as segments
from ._curves import Curves as Curves, load_curves as load_curves
from ._estimate import Estimate as Estimate
from ._moments import (
    SimulatedMoments as SimulatedMoments,
    simulate_moments as simulate_moments,
)
from ._plateau import (
    NormalizerWarning as NormalizerWarning,
    PlateauTimes as PlateauTimes,
    censored_interval as censored_interval,
    change_point as change_point,
    first_below as first_below,
    half_drop as half_drop,
    plateau_times as plateau_times,
)
from ._risk import simulate_risks as simulate_risks
from ._rows import simulate_row_risks as simulate_row_risks
