"""Figures: pure functions from saved results to matplotlib figures."""

from ._diversity import (
    adapter_curves as adapter_curves,
    angle_curves as angle_curves,
    length_curves as length_curves,
)
from ._layers import (
    context_curves as context_curves,
    entries as entries,
    loss_curves as loss_curves,
    preconditioners as preconditioners,
)
from ._style import (
    COLORS as COLORS,
    MARKERS as MARKERS,
    grid as grid,
    save as save,
    style as style,
)
