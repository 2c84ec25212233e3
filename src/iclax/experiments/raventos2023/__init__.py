"""Raventós, Paul, Chen, Ganguli 2023: how many pre-training tasks until ICL emerges?

Claim      trained on a small pool of tasks, a transformer behaves like the posterior
           mean over the pool (dMMSE); above a threshold, like ridge regression on tasks
           it has never seen
Expected   on new tasks, distance to dMMSE and distance to ridge cross as the pool grows
Command    iclax reproduce raventos2023 --size laptop
"""

from .._recipe import Recipe
from ._parts import parts
from ._report import report

RECIPE = Recipe(
    name="raventos2023",
    title="From the pool to new tasks: how many pre-training tasks it takes",
    reference="Raventós, Paul, Chen, Ganguli 2023 (arXiv 2306.15063)",
    summary="finite task pools: transformer against dMMSE and ridge, the threshold",
    parts=parts,
    workers=2,
    report=report,
)
