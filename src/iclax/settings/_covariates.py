"""The [covariates] table: one class for each kind."""

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import model_validator

from .. import covariates as laws
from .._errors import SettingError
from ._base import Count, CovarianceSpec, Positive, Table, covariance, one_of
from ._data_files import load_dataset, load_matrix
from ._own import OwnTable, of_kind


class _WithCovariance(Table):
    dim: Count | None = None
    """Dimension d; needed where `cov` does not say it."""
    cov: CovarianceSpec = 1.0
    """Covariance of x: a number, d numbers (a diagonal), a matrix or "identity"."""

    def matrix(self) -> np.ndarray:
        """The covariance that `dim` and `cov` state together."""
        dim = self.dim
        if dim is None and isinstance(self.cov, (float, int, str)):
            raise SettingError(
                "covariates.dim", "nothing", "a whole number of at least 1"
            )
        named = {} if dim is None else {"identity": 1.0}
        return covariance(self.cov, "covariates.cov", dim, named)


class GaussianTable(_WithCovariance):
    """x ~ N(0, cov)."""

    kind: Literal["gaussian"]

    def build(self, base: Path) -> laws.Covariates:
        """The law that this table states."""
        return laws.Gaussian(self.matrix())


class UniformTable(_WithCovariance):
    """x = S z, z_i uniform with unit variance, S the square root of cov."""

    kind: Literal["uniform"]
    reference: ClassVar[str] = "von Oswald et al. 2023"

    def build(self, base: Path) -> laws.Covariates:
        """The law that this table states."""
        return laws.Uniform(self.matrix())


class RademacherTable(_WithCovariance):
    """x = S z, z_i = ±1 with equal probability, S the square root of cov."""

    kind: Literal["rademacher"]

    def build(self, base: Path) -> laws.Covariates:
        """The law that this table states."""
        return laws.Rademacher(self.matrix())


class StudentTTable(_WithCovariance):
    """Multivariate Student t with covariance cov; heavy tails, elliptical."""

    kind: Literal["student_t"]
    degrees: Positive
    """Degrees of freedom ν, above 2; exact theory needs ν > 4."""

    def build(self, base: Path) -> laws.Covariates:
        """The law that this table states."""
        return laws.StudentT(self.matrix(), self.degrees)


class DataTable(Table):
    """x is a row of your own data (a .csv or .npy file, or a bundled dataset)."""

    kind: Literal["data"]
    path: str | None = None
    """A .csv or .npy file, a row for each x; relative to the setting file."""
    dataset: Literal["diabetes"] | None = None
    """A bundled dataset, in the place of `path`."""
    labels: str | None = None
    """A file of real labels, one for each row."""
    standardize: bool = False
    """Whether every column gets mean 0 and variance 1."""

    @model_validator(mode="after")
    def _one_source(self) -> "DataTable":
        if (self.path is None) == (self.dataset is None):
            raise ValueError("give either path or dataset")
        return self

    def files(self, key: str) -> dict[str, str]:
        """The paths of the rows and of the labels, by their key."""
        paths = {f"{key}.path": self.path, f"{key}.labels": self.labels}
        return {name: path for name, path in paths.items() if path is not None}

    def load(self, base: Path) -> tuple[np.ndarray, np.ndarray | None]:
        """The rows, standardized if asked for, and the labels where there are any."""
        if self.dataset is not None:
            rows, labels = load_dataset(self.dataset)
        else:
            rows = load_matrix(base / str(self.path), "covariates.path")
            labels = None
        if self.labels is not None:
            labels = load_matrix(base / self.labels, "covariates.labels").ravel()
        if labels is not None and len(labels) != len(rows):
            raise SettingError(
                "covariates.labels", f"{len(labels)} labels", f"{len(rows)}, one a row"
            )
        return (_standardized(rows) if self.standardize else rows), labels

    def build(self, base: Path) -> laws.Covariates:
        """The law that this table states."""
        rows, _ = self.load(base)
        return laws.Data(rows, source=self.dataset or str(self.path))


def _standardized(rows: np.ndarray) -> np.ndarray:
    spread = rows.std(axis=0)
    if np.any(spread == 0):
        column = int(np.argmin(spread)) + 1
        raise SettingError(
            "covariates.standardize",
            f"true, but column {column} of the data is constant",
            "false, or data without constant columns",
        )
    return (rows - rows.mean(axis=0)) / spread


class OwnCovariatesTable(OwnTable):
    """Your own: "module:Class" of iclax.covariates.Covariates, from the other keys."""

    def build(self, base: Path) -> laws.Covariates:
        """The law that this table states."""
        made = self.make(base, "covariates")
        return of_kind(made, laws.Covariates, self, "covariates")


COVARIATE_TABLES = (
    GaussianTable,
    UniformTable,
    RademacherTable,
    StudentTTable,
    DataTable,
)
CovariatesTable = one_of(*COVARIATE_TABLES, own=OwnCovariatesTable)
