"""Training: many seeds as one compiled program, and no run is ever lost."""

from ._average import Average as Average
from ._errors import Diverged as Diverged, Interrupted as Interrupted
from ._optimizers import SGD as SGD, Adam as Adam, Optimizer as Optimizer
from ._result import TrainResult as TrainResult
from ._schedules import (
    Constant as Constant,
    Cosine as Cosine,
    Exponential as Exponential,
    OneCycle as OneCycle,
    Schedule as Schedule,
)
from ._target import Target as Target
from ._train import train as train
