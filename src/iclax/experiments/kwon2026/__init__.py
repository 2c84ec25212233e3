"""Kwon, Xu, Yaras, Song, Balzano, Qu 2026: what training-task diversity does.

Claim      tasks from a union of subspaces: no degradation inside the span, and
           diversity shortens the plateau
Expected   a flat risk in the angle for unions; the direction of the plateau depends on
           the objective and is reported for each
Command    iclax reproduce kwon2026 --size laptop
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ...report import Section
from .._recipe import Part, Recipe, Size
from . import (
    _adapters,
    _classes,
    _decoders,
    _directions,
    _subspaces,
    _transformer,
)

_PARTS = (_subspaces, _directions, _decoders, _adapters)
_SECTIONS = (_subspaces, _directions, _transformer, _classes, _adapters)


def _parts(size: Size, seed: int) -> Sequence[Part]:
    return [part for module in _PARTS for part in module.parts(size, seed)]


def _report(data: Mapping[str, dict[str, Any]], size: Size) -> Sequence[Section]:
    return [module.section(data, size) for module in _SECTIONS]


RECIPE = Recipe(
    name="kwon2026",
    title="Task diversity: angles, plateaus and out-of-distribution generalization",
    reference="Kwon, Xu, Yaras, Song, Balzano, Qu 2026 (arXiv 2606.06814)",
    summary="unions of subspaces: risk against angle, plateau against diversity, LoRA",
    parts=_parts,
    workers=2,
    report=_report,
)
