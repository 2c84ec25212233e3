"""How a training can end before its last step."""

from typing import Any

from .._errors import RunError


class Diverged(RunError):
    """A loss or an update left the finite numbers: at which `step` and `seed`.

    `learning_rate` is the one in force there, None where the optimizer does not tell.
    `result` holds the weights before the bad update.
    """

    def __init__(self, step: int, seed: int, learning_rate: float | None, result: Any):
        self.step, self.seed, self.learning_rate = step, seed, learning_rate
        self.result = result
        rate = "" if learning_rate is None else f" at learning rate {learning_rate:.3g}"
        super().__init__(
            f"training diverged at step {step}{rate} (seed {seed}). The weights before "
            "that step are kept. A smaller learning rate or gradient clipping may help."
        )


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop after `step`; `result` holds everything so far."""

    def __init__(self, step: int, saved: bool, result: Any):
        self.step, self.result = step, result
        again = " The same command goes on from there." if saved else ""
        super().__init__(f"training was interrupted after step {step}.{again}")
