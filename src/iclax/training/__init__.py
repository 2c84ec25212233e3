"""Training: many seeds as one compiled program, and no run is ever lost."""

from ._average import Average as Average
from ._errors import Diverged as Diverged, Interrupted as Interrupted
from ._minimize import minimize as minimize
from ._optimizers import (
    LBFGS as LBFGS,
    SGD as SGD,
    Adam as Adam,
    Optimizer as Optimizer,
)
from ._precision import cast_floats as cast_floats, mixed_precision as mixed_precision
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
