"""What was recorded so far, on the host."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from ._program import Records

Row = tuple[int, dict[str, np.ndarray]]


class History:
    """Recorded steps and, for each name, one value per run and record."""

    def __init__(self, record_every: int, steps: int):
        self._every, self._last = record_every, steps
        self._rows: list[Row] = []

    def extend(self, records: Records, start: int, end: int) -> list[Row]:
        """Append the records of a call from `start` to `end`; returns the new rows."""
        first = start // self._every + 1
        steps = [r * self._every for r in range(first, end // self._every + 1)]
        if end == self._last and end % self._every:
            steps.append(end)
        columns = {name: np.asarray(v) for name, v in records.values.items()}
        rows = [
            (step, {name: values[:, i] for name, values in columns.items()})
            for i, step in enumerate(steps)
        ]
        self._rows += rows
        return rows

    def cut(self, step: int) -> None:
        """Forget the records after `step`."""
        self._rows = [row for row in self._rows if row[0] <= step]

    def steps(self) -> Int[np.ndarray, " records"]:
        """The steps of the records."""
        return np.array([step for step, _ in self._rows], np.int64)

    def columns(self) -> dict[str, Float[np.ndarray, "runs records"]]:
        """Each recorded name with its values."""
        if not self._rows:
            return {}
        names = self._rows[0][1]
        return {
            name: np.stack([row[name] for _, row in self._rows], axis=1)
            for name in names
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """The records as columns: "step", and each name with shape (runs, records)."""
        return {"step": self.steps(), **self.columns()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take the records from what `arrays` returned."""
        columns = {k: v for k, v in arrays.items() if not k.startswith("state/")}
        steps = columns.pop("step")
        self._rows = [
            (int(step), {name: values[:, i] for name, values in columns.items()})
            for i, step in enumerate(steps)
        ]
