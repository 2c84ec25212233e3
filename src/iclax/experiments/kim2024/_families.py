"""The task families, their inputs and losses, and the heights of their plateaus."""

from dataclasses import dataclass

import numpy as np

from ... import theory
from ...covariates import Covariates, Data, Gaussian, Rademacher
from ...tasks import (
    Conjunction,
    DecisionTree,
    Disjunction,
    Linear,
    Parity,
    Quadratic,
    ReluNeuron,
    Retrieval,
    SparseLinear,
    SparseParity,
    TaskDistribution,
)

LABELS = {
    "linear": "linear",
    "sparse": "sparse linear",
    "quadratic": "quadratic",
    "relu": "ReLU",
    "leaky": "leaky ReLU",
    "tree": "decision tree",
    "parity2": "sparse parity (2)",
    "parity3": "sparse parity (3)",
    "parity": "parity",
    "conjunction": "conjunction",
    "disjunction": "disjunction",
    "retrieval": "retrieval",
}

# The normalizers in the code of Kim et al. at d = 10 (ReLU: drawn at the start).
PUBLISHED = {
    "linear": 10.0,
    "sparse": 3.0,
    "quadratic": 12.0,
    "tree": 1.0,
    "parity2": 0.68295,
    "parity3": 0.69017,
    "parity": 0.69656,
    "conjunction": 0.40751,
    "disjunction": 0.40316,
    "retrieval": 9.0,
}


@dataclass(frozen=True)
class Family:
    """A task family with its covariates and its normalizer.

    `height` is the loss of the best prediction that does not relate the labels of the
    context to their inputs: of a function of the query alone, or for conjunctions and
    disjunctions of the frequency of the labels so far.
    """

    name: str
    tasks: TaskDistribution
    covariates: Covariates
    height: float

    @property
    def binary(self) -> bool:
        """Whether the loss is logistic."""
        return self.tasks.binary

    @property
    def repeats(self) -> bool:
        """Whether the query repeats a key of the context; only its loss counts."""
        return isinstance(self.tasks, Retrieval)

    @property
    def complete_below(self) -> float:
        """The normalized loss of the last point at which learning is complete."""
        return 0.2 if isinstance(self.tasks, Quadratic) else 0.1


def family(name: str, dim: int, num_points: int, nonzeros: int = 3) -> Family:
    """The family of that name on R^d; `num_points` points a prompt, the query in it."""
    tasks: dict[str, TaskDistribution] = {
        "linear": Linear(np.eye(dim)),
        "sparse": SparseLinear(dim, min(nonzeros, dim)),
        "quadratic": Quadratic(dim),
        "relu": ReluNeuron(np.eye(dim)),
        "leaky": ReluNeuron(np.eye(dim), slope=0.5),
        "tree": DecisionTree(dim, leaf_mean=1.0),
        "parity2": SparseParity(dim, min(2, dim)),
        "parity3": SparseParity(dim, min(3, dim)),
        "parity": Parity(dim),
        "conjunction": Conjunction(dim),
        "disjunction": Disjunction(dim),
        "retrieval": Retrieval.random(dim),
    }
    own = tasks[name]
    law = Rademacher(np.eye(dim)) if own.binary else Gaussian(np.eye(dim))
    if isinstance(own, Retrieval):
        law = Data(own.keys)
    height = (
        theory.label_frequency_loss(own, num_points)
        if isinstance(own, (Conjunction, Disjunction))
        else theory.no_context_loss(own, law)
    )
    return Family(name, own, law, float(height))
