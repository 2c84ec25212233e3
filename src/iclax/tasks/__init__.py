"""Task distributions: the laws of the function f that a prompt is about."""

from ._base import (
    SAMPLING as SAMPLING,
    LinearTasks as LinearTasks,
    TaskDistribution as TaskDistribution,
    is_plain as is_plain,
)
from ._conjunction import Conjunction as Conjunction, Disjunction as Disjunction
from ._decision_tree import DecisionTree as DecisionTree
from ._fourier_features import FourierFeatures as FourierFeatures
from ._gaussian_process import GaussianProcess as GaussianProcess
from ._kernel_process import KernelProcess as KernelProcess
from ._linear import Linear as Linear
from ._linear_pool import LinearPool as LinearPool
from ._low_rank import LowRank as LowRank, principal_angles as principal_angles
from ._mixture import Mixture as Mixture
from ._neuron import ReluNeuron as ReluNeuron, TwoLayerRelu as TwoLayerRelu
from ._parity import Parity as Parity, SparseParity as SparseParity
from ._polynomial import Polynomial as Polynomial
from ._projected import Projected as Projected
from ._quadratic import Quadratic as Quadratic
from ._retrieval import Retrieval as Retrieval
from ._sparse_linear import SparseLinear as SparseLinear
from ._weight_law import WeightLaw as WeightLaw, weight_law as weight_law
