"""Laws of the covariates x: what a prompt's inputs are drawn from."""

from ._base import Covariates as Covariates
from ._data import Data as Data
from ._gaussian import Gaussian as Gaussian, StudentT as StudentT
from ._independent import Rademacher as Rademacher, Uniform as Uniform
