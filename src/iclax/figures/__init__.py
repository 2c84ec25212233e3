"""Figures: pure functions from saved results to matplotlib figures."""

from ._diversity import (
    adapter_curves as adapter_curves,
    angle_curves as angle_curves,
    class_angles as class_angles,
    decoder_angles as decoder_angles,
    decoder_curves as decoder_curves,
    decoder_distances as decoder_distances,
    flow_curves as flow_curves,
    length_curves as length_curves,
    ratio_forest as ratio_forest,
)
from ._layers import (
    context_curves as context_curves,
    entries as entries,
    loss_curves as loss_curves,
    preconditioners as preconditioners,
)
from ._models import (
    learning_curves as learning_curves,
    model_lengths as model_lengths,
)
from ._multitask import (
    escape_curves as escape_curves,
    family_losses as family_losses,
)
from ._pools import (
    path_curves as path_curves,
    pool_distances as pool_distances,
    pool_risks as pool_risks,
)
from ._style import (
    COLORS as COLORS,
    MARKERS as MARKERS,
    grid as grid,
    save as save,
    style as style,
)
