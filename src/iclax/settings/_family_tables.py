"""More kinds of the [tasks] table: subspaces, pools, features, multi-task families."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from .. import tasks as laws
from .._errors import SettingError
from ..covariates import Covariates
from ._base import Count, NonNegative, Positive, Table, Whole, current_folder
from ._data_files import load_array, load_matrix


class LowRankTable(Table):
    """f(x) = w·x, w on one of several low-dimensional subspaces: w = U_k ξ."""

    kind: Literal["low_rank"]
    rank: Count
    """Dimension r of every subspace."""
    components: Count = 1
    """Number of subspaces K."""
    shared_columns: Whole = 0
    """Columns that all bases have in common."""
    basis: str = "coordinates"
    """Named "coordinates" or "random" (orthonormal), or a .npy file (K, d, r)."""
    seed: Whole = 0
    """Seed of random bases."""
    weights: list[Positive] | None = None
    """Probability of each subspace; equal if left out."""
    floor: NonNegative = 0.0
    """Variance of w in all directions, added to that of the subspace."""
    reference: ClassVar[str] = "Kwon et al. 2026"

    def files(self, key: str) -> dict[str, str]:
        """The path of the bases, where they are in a file."""
        named = self.basis in ("coordinates", "random")
        return {} if named else {f"{key}.basis": self.basis}

    def build(self, x: Covariates, key: str = "tasks") -> laws.TaskDistribution:
        """The task distribution that this table states, for covariates `x`."""
        columns = (x.dim, self.rank, self.components, self.shared_columns)
        if self.basis == "coordinates":
            return laws.LowRank.coordinates(*columns, self.weights, self.floor)
        if self.basis == "random":
            return laws.LowRank.random(*columns, self.seed, self.weights, self.floor)
        bases = load_array(current_folder() / self.basis, f"{key}.basis")
        expected = (self.components, x.dim, self.rank)
        if bases.shape != expected:
            raise SettingError(
                f"{key}.basis",
                f"an array of shape {bases.shape}",
                f'shape {expected}: components, dim, rank; or "coordinates", "random"',
            )
        return laws.LowRank(bases, self.weights, self.floor)


class SparseLinearTable(Table):
    """f(x) = w·x with exactly `nonzeros` non-zero weights in random places."""

    kind: Literal["sparse_linear"]
    nonzeros: Count
    """Number of non-zero weights."""
    mean: float = 0.0
    """Mean of the non-zero weights; their variance is 1."""
    reference: ClassVar[str] = "Garg et al. 2022; Kim et al. 2024"

    def build(self, x: Covariates, key: str = "tasks") -> laws.TaskDistribution:
        """The task distribution that this table states, for covariates `x`."""
        return laws.SparseLinear(x.dim, self.nonzeros, self.mean)


class PoolTable(Table):
    """A finite pool of task vectors: drawn from N(0, I) with a seed, or from a file."""

    kind: Literal["pool"]
    size: Count | None = None
    """Number of task vectors, drawn from N(0, I)."""
    seed: Whole = 0
    """Seed of the drawn pool."""
    path: str | None = None
    """A file of task vectors, one a row, in the place of `size`."""
    reference: ClassVar[str] = "Raventós et al. 2023"

    def files(self, key: str) -> dict[str, str]:
        """The path of the pool, where it is in a file."""
        return {} if self.path is None else {f"{key}.path": self.path}

    def build(self, x: Covariates, key: str = "tasks") -> laws.TaskDistribution:
        """The task distribution that this table states, for covariates `x`."""
        if (self.size is None) == (self.path is None):
            raise SettingError(key, "both or neither", "either size or path")
        if self.size is not None:
            rng = np.random.default_rng(self.seed)
            return laws.LinearPool(rng.standard_normal((self.size, x.dim)))
        return laws.LinearPool(
            load_matrix(current_folder() / Path(str(self.path)), f"{key}.path")
        )


class FourierFeaturesTable(Table):
    """Random cosines and sines at shared frequencies, ω ~ N(0, I/length_scale²)."""

    kind: Literal["fourier_features"]
    features: Count
    """Number of frequencies."""
    length_scale: Positive
    """Length scale: frequencies are N(0, I/length_scale²)."""
    variance: Positive = 1.0
    """f(x) has this variance at every x."""
    seed: Whole = 0
    """Seed of the frequencies."""

    def build(self, x: Covariates, key: str = "tasks") -> laws.TaskDistribution:
        """The task distribution that this table states, for covariates `x`."""
        rng = np.random.default_rng(self.seed)
        draws = rng.standard_normal((self.features, x.dim))
        return laws.FourierFeatures(draws / self.length_scale, self.variance)


class QuadraticTable(Table):
    """f(x) = xᵀ W x with W_ij ~ N(mean, 1)/√d."""

    kind: Literal["quadratic"]
    mean: float = 0.0
    """Mean of every entry of √d W."""
    reference: ClassVar[str] = "Kim et al. 2024"

    def build(self, x: Covariates, key: str = "tasks") -> laws.TaskDistribution:
        """The task distribution that this table states, for covariates `x`."""
        return laws.Quadratic(x.dim, self.mean)


class DecisionTreeTable(Table):
    """A full binary decision tree on the signs of the coordinates, Gaussian leaves."""

    kind: Literal["decision_tree"]
    depth: Count = 4
    """Number of splits from the root to a leaf."""
    leaf_mean: float = 0.0
    """Mean of the value of a leaf."""
    leaf_std: Positive = 1.0
    """Standard deviation of the value of a leaf."""
    reference: ClassVar[str] = "Garg et al. 2022; Kim et al. 2024"

    def build(self, x: Covariates, key: str = "tasks") -> laws.TaskDistribution:
        """The task distribution that this table states, for covariates `x`."""
        return laws.DecisionTree(x.dim, self.depth, self.leaf_mean, self.leaf_std)


class SparseParityTable(Table):
    """±1 parity of a random subset of `size` coordinates; x ∈ {±1}^d."""

    kind: Literal["sparse_parity"]
    size: Count
    """Number of coordinates in the parity."""
    reference: ClassVar[str] = "Kim et al. 2024"

    def build(self, x: Covariates, key: str = "tasks") -> laws.TaskDistribution:
        """The task distribution that this table states, for covariates `x`."""
        return laws.SparseParity(x.dim, self.size)


class ConjunctionTable(Table):
    """±1 conjunction of random literals; x ∈ {±1}^d."""

    kind: Literal["conjunction"]
    literal_probability: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Probability that a coordinate is one of the literals."""
    reference: ClassVar[str] = "Kim et al. 2024"

    def build(self, x: Covariates, key: str = "tasks") -> laws.TaskDistribution:
        """The task distribution that this table states, for covariates `x`."""
        return laws.Conjunction(x.dim, self.literal_probability)


class DisjunctionTable(Table):
    """±1 disjunction of random literals; x ∈ {±1}^d."""

    kind: Literal["disjunction"]
    literal_probability: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Probability that a coordinate is one of the literals."""
    reference: ClassVar[str] = "Kim et al. 2024"

    def build(self, x: Covariates, key: str = "tasks") -> laws.TaskDistribution:
        """The task distribution that this table states, for covariates `x`."""
        return laws.Disjunction(x.dim, self.literal_probability)


FAMILY_TABLES = (
    LowRankTable,
    SparseLinearTable,
    PoolTable,
    FourierFeaturesTable,
    QuadraticTable,
    DecisionTreeTable,
    SparseParityTable,
    ConjunctionTable,
    DisjunctionTable,
)
