"""Training: many seeds as one compiled program, and no run is ever lost."""

from ._average import Average as Average
from ._curricula import (
    Curriculum as Curriculum,
    Ramp as Ramp,
    Stage as Stage,
    first_dims as first_dims,
    garg_curriculum as garg_curriculum,
)
from ._errors import Diverged as Diverged, Interrupted as Interrupted
from ._load import load_model as load_model
from ._minimize import minimize as minimize
from ._objectives import (
    Objective as Objective,
    logistic_loss as logistic_loss,
    mean_of_components as mean_of_components,
    mean_over_positions as mean_over_positions,
    squared_error as squared_error,
    sum_of_components as sum_of_components,
)
from ._optimizers import (
    LBFGS as LBFGS,
    SGD as SGD,
    Adam as Adam,
    Optimizer as Optimizer,
)
from ._precision import cast_floats as cast_floats, mixed_precision as mixed_precision
from ._progress import (
    Bar as Bar,
    Progress as Progress,
    Several as Several,
    TensorBoard as TensorBoard,
)
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
