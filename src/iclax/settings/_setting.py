"""A whole setting file, version 1."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, field_validator

from .._errors import SettingError
from ..covariates import Covariates
from ..prompts import PromptDistribution
from ._base import Count, NonNegative, Positive, Table, building_in
from ._covariates import CovariatesTable, DataTable
from ._data_files import file_digest
from ._models import LinearAttentionTable, ModelTable
from ._tasks import TasksTable

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


class PromptTable(Table):
    """The [prompt] table: context length n and label noise σ."""

    context_length: Count
    """Number of examples n."""
    noise_std: NonNegative = 0.0
    """Standard deviation σ of the label noise."""


class TrainingTable(Table):
    """The [training] table: Adam with a cosine schedule on fresh prompts every step.

    The weights are averaged over the last fraction `average_last` of the steps. The
    loss is the squared error at the query, or its mean over "all" points of a prompt,
    each predicted from those before it.
    """

    steps: Count = 8000
    """Number of updates."""
    batch_size: Count = 512
    """Fresh prompts at every update."""
    learning_rate: Positive = 1e-2
    """Rate of Adam, from which a cosine schedule goes down to a tenth."""
    seeds: list[Seed] = Field(default=[0, 1, 2], min_length=1)
    """One training for each."""
    record_every: Count = 50
    """Updates between two records of the loss and the risk."""
    average_last: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Share of the steps, at the end, whose weights are averaged; 0 for none."""
    objective: Literal["query", "all"] = "query"
    """Squared error at the "query", or the mean over "all" points."""

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: list[int]) -> list[int]:
        twice = [seed for i, seed in enumerate(seeds) if seed in seeds[:i]]
        if twice:
            raise ValueError(f"different seeds; {twice[0]} stands there twice")
        return seeds


class Setting(Table):
    """Everything that `iclax theory` and `iclax run` need to know."""

    version: Literal[1]
    prompt: PromptTable
    covariates: CovariatesTable
    query: CovariatesTable | None = None
    tasks: TasksTable
    model: ModelTable = LinearAttentionTable()
    training: TrainingTable = TrainingTable()
    _base: Path = PrivateAttr(default=Path("."))

    def at(self, base: Path) -> "Setting":
        """The same setting, with relative paths taken from the folder `base`."""
        self._base = base
        return self

    def prompts(self) -> PromptDistribution:
        """The prompt distribution that the setting states."""
        x = self.covariates.build(self._base)
        query = None if self.query is None else self._query()
        with building_in(self._base):
            tasks = self.tasks.build(x)
        return PromptDistribution(
            x,
            tasks,
            self.prompt.context_length,
            float(self.prompt.noise_std),
            query,
        )

    def file_digests(self) -> dict[str, str]:
        """The SHA-256 of every file that the setting reads, by the key naming it.

        Raises `SettingError` naming the key of a file that cannot be read.
        """
        tables = {"covariates": self.covariates, "tasks": self.tasks}
        tables |= {} if self.query is None else {"query": self.query}
        tables |= {"model": self.model}
        paths: dict[str, str] = {}
        for key, table in tables.items():
            paths |= table.files(key)
        own = lambda key: key.endswith(".kind")  # a module that may be installed
        there = {k: self._base / p for k, p in paths.items()}
        return {
            key: file_digest(path, key)
            for key, path in there.items()
            if not own(key) or path.is_file()
        }

    @property
    def folder(self) -> Path:
        """Where relative paths of the setting start."""
        return self._base

    def _query(self) -> Covariates:
        try:
            return self.query.build(self._base)
        except SettingError as error:  # the tables of covariates and query are alike
            key = error.key.replace("covariates", "query", 1)
            raise SettingError(key, error.found, error.allowed) from None

    def labeled_rows(self):
        """The real rows and labels of [covariates] kind = "data", or None."""
        if not isinstance(self.covariates, DataTable):
            return None
        rows, labels = self.covariates.load(self._base)
        return None if labels is None else (rows, labels)
