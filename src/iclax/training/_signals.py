"""Ctrl-C and SIGTERM as requests to stop at the next chance."""

import signal
import threading
from types import FrameType, TracebackType


class StopRequest:
    """Within it, the first signal sets `asked`; a second one interrupts at once.

    Handlers can only be set in the main thread; elsewhere signals keep their meaning.
    """

    def __init__(self, *signals: signal.Signals):
        self.asked = False
        self._signals = signals
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for which in self._signals:
                self._before[which] = signal.signal(which, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for which, handler in self._before.items():
            signal.signal(which, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
