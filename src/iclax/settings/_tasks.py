"""The [tasks] table: one class for each kind of task distribution."""

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from .. import tasks as laws
from .._errors import SettingError
from .._psd import psd_inverse
from ..covariates import Covariates
from ._base import (
    Count,
    CovarianceSpec,
    NonNegative,
    Positive,
    Table,
    covariance,
    current_folder,
    one_of,
)
from ._family_tables import FAMILY_TABLES
from ._own import OwnTable, of_kind


def _task_covariance(spec: CovarianceSpec, key: str, x: Covariates) -> np.ndarray:
    named: dict[str, Any] = {"identity": 1.0}
    if spec == "inverse_covariates":
        named["inverse_covariates"] = psd_inverse(x.second_moment)
    elif isinstance(spec, str) and spec != "identity":
        named["inverse_covariates"] = None
    return covariance(spec, key, x.dim, named)


class LinearTable(Table):
    """f(x) = w·x with w ~ N(mean, cov)."""

    kind: Literal["linear"]
    cov: CovarianceSpec = "identity"
    """Covariance of w: a number, a diagonal, a matrix or "inverse_covariates"."""
    mean: list[float] | None = None
    """Mean of w, d numbers; 0 if left out."""
    reference: ClassVar[str] = "Garg et al. 2022; Mahankali et al. 2023, Thms 1-2"

    def build(self, x: Covariates, key: str = "tasks") -> laws.TaskDistribution:
        """The task distribution that this table states, for covariates `x`."""
        mean = None if self.mean is None else np.array(self.mean, dtype=np.float64)
        if mean is not None and len(mean) != x.dim:
            raise SettingError(
                f"{key}.mean", f"{len(mean)} numbers", f"{x.dim} numbers"
            )
        return laws.Linear(_task_covariance(self.cov, f"{key}.cov", x), mean)


class ReluTable(Table):
    """f(x) = relu(w·x), leaky with a slope, with a fair random sign if asked for."""

    kind: Literal["relu"]
    cov: CovarianceSpec = "identity"
    """Covariance of w, as for linear tasks."""
    slope: float = 0.0
    """Slope for negative w·x (0: ReLU, −1: the absolute value)."""
    random_sign: bool = False
    """Whether f gets a fair random sign (then f and −f are alike)."""
    reference: ClassVar[str] = "Mahankali et al. 2023, Thm 3"

    def build(self, x: Covariates, key: str = "tasks") -> laws.TaskDistribution:
        """The task distribution that this table states, for covariates `x`."""
        cov = _task_covariance(self.cov, f"{key}.cov", x)
        return laws.ReluNeuron(cov, self.slope, self.random_sign)


class TwoLayerReluTable(Table):
    """f(x) = scale · width^(-1/2) Σ v_j relu(w_j·x), symmetric output weights v."""

    kind: Literal["two_layer_relu"]
    width: Count
    """Number of hidden neurons."""
    cov: CovarianceSpec = "identity"
    """Covariance of every w_j, as for linear tasks."""
    scale: Positive = 1.0
    """Factor of f; the output weights v_j have variance 1."""
    reference: ClassVar[str] = "Garg et al. 2022; Mahankali et al. 2023, Thm 3"

    def build(self, x: Covariates, key: str = "tasks") -> laws.TaskDistribution:
        """The task distribution that this table states, for covariates `x`."""
        cov = _task_covariance(self.cov, f"{key}.cov", x)
        return laws.TwoLayerRelu(cov, self.width, self.scale)


class GaussianProcessTable(Table):
    """f from a Gaussian process with a squared-exponential kernel."""

    kind: Literal["gaussian_process"]
    length_scale: Positive
    """ℓ of the kernel variance · exp(−|x − x′|²/2ℓ²)."""
    variance: Positive = 1.0
    """f(x) has this variance at every x."""

    def build(self, x: Covariates, key: str = "tasks") -> laws.TaskDistribution:
        """The task distribution that this table states, for covariates `x`."""
        return laws.GaussianProcess.rbf(x.dim, self.length_scale, self.variance)


class PolynomialTable(Table):
    """f(x) = Σ_p sqrt(c_p) <T_p, x⊗…⊗x>, random Gaussian T_p: kernel Σ c_p (x·x')^p."""

    kind: Literal["polynomial"]
    coefficients: dict[str, NonNegative]
    """c_p by the degree p: {"1" = 1.0, "3" = 0.1}; degrees 0 to 9."""

    def build(self, x: Covariates, key: str = "tasks") -> laws.TaskDistribution:
        """The task distribution that this table states, for covariates `x`."""
        for degree in self.coefficients:
            if not degree.isdigit() or int(degree) > 9:
                raise SettingError(
                    f"{key}.coefficients", f'the degree "{degree}"', "degrees 0 to 9"
                )
        return laws.Polynomial(x.dim, {int(p): c for p, c in self.coefficients.items()})


class MixtureTable(Table):
    """f comes from one of several task distributions; each component has a weight."""

    kind: Literal["mixture"]
    components: list["ComponentTable"] = Field(min_length=1)
    """Tables like [tasks] itself, each with a `weight` (normalized to sum 1)."""

    def files(self, key: str) -> dict[str, str]:
        """The paths that the components read, by their key."""
        found = {}
        for k, component in enumerate(self.components):
            found |= component.files(f"{key}.components[{k}]")
        return found

    def build(self, x: Covariates, key: str = "tasks") -> laws.TaskDistribution:
        """The task distribution that this table states, for covariates `x`."""
        parts = [
            component.build(x, f"{key}.components[{k}]")
            for k, component in enumerate(self.components)
        ]
        return laws.Mixture(parts, [component.weight for component in self.components])


class OwnTasksTable(OwnTable):
    """Your own: "module:Class" of iclax.tasks.TaskDistribution, from the other keys."""

    def build(self, x: Covariates, key: str = "tasks") -> laws.TaskDistribution:
        """The task distribution that this table states."""
        made = self.make(current_folder(), key)
        return of_kind(made, laws.TaskDistribution, self, key)


class _Weighted(Table):
    weight: Positive = 1.0
    """Share of the component, before normalization."""


TASK_TABLES = (
    LinearTable,
    ReluTable,
    TwoLayerReluTable,
    GaussianProcessTable,
    PolynomialTable,
    MixtureTable,
    *FAMILY_TABLES,
)


def _as_component(table: type[Table]) -> type[Table]:
    """The same table with a weight, as it stands in a mixture."""
    own = {"__doc__": "", "model_config": table.model_config}
    return type(f"Component{table.__name__}", (table, _Weighted), own)


_COMPONENTS = tuple(_as_component(table) for table in TASK_TABLES)
ComponentTable = one_of(*_COMPONENTS, own=_as_component(OwnTasksTable))
TasksTable = one_of(*TASK_TABLES, own=OwnTasksTable)
for _table in (MixtureTable, *_COMPONENTS):
    _table.model_rebuild()
