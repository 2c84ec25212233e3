"""Run folders: settings, versions, seeds, metrics and weights, never half-written."""

from ._files import plain as plain, write_json as write_json
from ._folder import RunFolder as RunFolder, open_run as open_run, run_id as run_id
from ._record import (
    Metrics as Metrics,
    RunRecord as RunRecord,
    list_runs as list_runs,
    read_metrics as read_metrics,
    read_run as read_run,
    read_weights as read_weights,
)
from ._versions import versions as versions
