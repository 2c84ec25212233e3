"""Part d: low-dimensional mixtures of nonlinear function classes."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from ...report import Figure, Section, Table
from .._recipe import Size
from ._decoders import LABELS, decoders
from ._transformer import angle_table, plateau_table, union_verdicts


def section(found: Mapping[str, Any], size: Size) -> Section:
    """What part d shows and claims."""
    from ...figures import class_angles

    classes = {
        name: data for name, data in decoders(found, size).items() if name != "linear"
    }
    return Section(
        "d. Nonlinear function classes",
        [
            "The same decoder and the same two questions for functions of the "
            "components of x in a subspace: f(x) = g(Uᵀx) with g a ReLU neuron, a "
            "random quadratic or a two-layer network."
        ],
        [
            table
            for name, found in classes.items()
            for table in (
                _named(angle_table(found), name),
                _named(plateau_table(found), name),
            )
        ],
        [
            Figure(
                "class_angles",
                "Risk over that of predicting 0 against the angle, by class.",
                partial(class_angles, classes, LABELS),
            )
        ],
        [
            verdict
            for name, found in classes.items()
            for verdict in union_verdicts(found, f"decoder on {LABELS[name]}", size)
        ],
    )


def _named(table: Table, name: str) -> Table:
    caption = f"{LABELS[name].capitalize()}. {table.caption}"
    return Table(caption, table.columns, table.rows)
