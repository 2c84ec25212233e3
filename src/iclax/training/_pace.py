"""How many steps each call of the compiled program should take."""

import time

# Long enough that the cost of a call is nothing, short enough to stop at once.
CALL_SECONDS = 0.5
GROWTH = 16


class Pace:
    """Steps per call, from the measured speed; results do not depend on it."""

    def __init__(self, records_per_call: int):
        self._most = records_per_call
        self._steps = 1
        self._since = time.perf_counter()

    def next_end(self, done: int, steps: int, record_every: int) -> int:
        """Where the next call should end, from `done`."""
        most = self._most * record_every - done % record_every
        self._since = time.perf_counter()
        return min(done + min(self._steps, most), steps)

    def finished(self, taken: int) -> None:
        """Learn from a call that took `taken` steps."""
        seconds = max(time.perf_counter() - self._since, 1e-9)
        fitting = int(taken * CALL_SECONDS / seconds)
        self._steps = max(1, min(fitting, GROWTH * taken))
