"""Sizes of the recipe: families, and which of them are trained together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ._families import Family, family

Sets = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Plan:
    """Sizes of the recipe.

    `groups` holds sets of families, each trained together; the sets of a group, all of
    one length, and their seeds are one program. `batch_size` counts the prompts of
    each family of a set.
    """

    families: tuple[str, ...]
    groups: Mapping[str, Sets]
    dim: int = 3
    num_points: int = 16
    nonzeros: int = 1
    layers: int = 2
    heads: int = 2
    width: int = 32
    batch_size: int = 16
    steps: int = 2400
    rate: float = 1e-3
    record_every: int = 50
    seeds: int = 5
    test_prompts: int = 96

    def laws(self) -> list[Family]:
        """The families, in order."""
        return [
            family(name, self.dim, self.num_points, self.nonzeros)
            for name in self.families
        ]


def neighbors(names: Sequence[str], size: int) -> Sets:
    """Each family with the `size` − 1 that follow it, around a circle."""
    return tuple(
        tuple(names[(i + j) % len(names)] for j in range(size))
        for i in range(len(names))
    )


_SMALL = ("linear", "relu", "leaky", "sparse", "parity2", "tree")
_TABLE_1 = (
    "parity2",
    "linear",
    "conjunction",
    "quadratic",
    "parity3",
    "relu",
    "disjunction",
    "sparse",
    "tree",
)

PLANS: dict[str, Plan] = {
    "toy": Plan(
        families=("linear", "parity2"),
        groups={
            "alone": (("linear",), ("parity2",)),
            "all": (("linear", "parity2"),),
        },
        dim=3,
        num_points=4,
        layers=1,
        heads=1,
        width=8,
        batch_size=8,
        steps=150,
        record_every=25,
        seeds=1,
        test_prompts=32,
    ),
    "laptop": Plan(
        families=_SMALL,
        groups={
            "alone": tuple((name,) for name in _SMALL),
            "all": (_SMALL,),
            # Two groups, which two processes train at a time.
            "three": (("linear", "relu", "parity2"),),
            "other_three": (("leaky", "sparse", "tree"),),
        },
    ),
    "paper": Plan(
        families=(*_TABLE_1, "leaky", "parity", "retrieval"),
        groups={
            "alone": tuple((name,) for name in _TABLE_1),
            "pairs": neighbors(_TABLE_1, 2),
            "fours": neighbors(_TABLE_1, 4),
            "eights": neighbors(_TABLE_1, 8),
            "all": (_TABLE_1,),
            "others": (("leaky",), ("parity",), ("retrieval",)),
        },
        dim=10,
        num_points=120,
        nonzeros=3,
        layers=12,
        heads=8,
        width=256,
        batch_size=64,
        steps=1_000_000,
        rate=1e-4,
        record_every=100,
        seeds=1,
        test_prompts=64,
    ),
}
