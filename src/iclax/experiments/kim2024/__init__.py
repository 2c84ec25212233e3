"""Kim, Kwon, Choi, Park, Cho, Lee, Ryu 2024: many tasks shorten the plateau.

Claim      trained on several task families at once, a transformer leaves the plateau
           of each earlier than trained on that family alone
Expected   escape steps that fall with the number of families
Command    iclax reproduce kim2024 --size laptop
"""

from .._recipe import Recipe
from ._parts import parts
from ._report import report

RECIPE = Recipe(
    name="kim2024",
    title="Several task families at once: who leaves the plateau earlier?",
    reference="Kim, Kwon, Choi, Park, Cho, Lee, Ryu 2024 (arXiv 2410.05448)",
    summary="task families alone and together: steps to escape and to complete",
    parts=parts,
    workers=2,
    report=report,
)
