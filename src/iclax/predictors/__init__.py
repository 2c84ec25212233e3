"""Reference predictors: algorithms with nothing to train, written for one prompt."""

from ._batch_prefixes import batch_prefixes as batch_prefixes
from ._discrete import DiscreteMMSE as DiscreteMMSE
from ._gaussian import (
    GaussianPosteriorMean as GaussianPosteriorMean,
    MixturePosteriorMean as MixturePosteriorMean,
)
from ._gradient import (
    Averaging as Averaging,
    GradientDescent as GradientDescent,
    GradientDescentPlusPlus as GradientDescentPlusPlus,
    GradientStep as GradientStep,
    Zero as Zero,
)
from ._kernel import GaussianProcessPosterior as GaussianProcessPosterior
from ._nearest import KNearest as KNearest
from ._optimal import bayes_predictor as bayes_predictor
from ._prefixes import points as points, prefixes as prefixes
from ._ridge import LeastSquares as LeastSquares, Ridge as Ridge
