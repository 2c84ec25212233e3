"""Part c: a GPT-style decoder on the same mixtures."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from ...evaluation import Interval, bootstrap, censored_interval
from ...report import Figure, Section, Table, Verdict
from .._intervals import seeds_note
from .._recipe import Size
from .._toy import too_short
from ._decoders import decoders
from ._escape_ratio import EscapeRatio


def section(found: Mapping[str, Any], size: Size) -> Section:
    """What part c shows and claims."""
    from ...figures import decoder_angles, decoder_curves, decoder_distances

    data = decoders(found, size)["linear"]
    return Section(
        "c. A nonlinear transformer on the same mixtures",
        [
            "A GPT-style decoder is trained on prompts from unions of r-dimensional "
            "subspaces, with the loss at every position. Test subspaces lie at an "
            "angle from the first one. The Bayes predictor of a union knows its "
            "subspaces; ridge regression knows only the power of the tasks.",
            f"Orthogonal subspaces span everything from {data['spanning']} on; that is "
            "enough for linear attention (part a), and the table says whether it is "
            "enough for the decoder.",
        ],
        [angle_table(data), plateau_table(data), _distance_table(data)],
        [
            Figure(
                "decoder_angles",
                "Risk of the trained decoder against the angle, mean over seeds; bars "
                "span the seeds.",
                partial(decoder_angles, data),
            ),
            Figure(
                "decoder_loss",
                "Training loss (all positions, noisy labels), one line a seed.",
                partial(decoder_curves, data),
            ),
            Figure(
                "decoder_distance",
                "Mean squared distance of the predictions to the Bayes predictor of "
                "the union and to ridge regression along training.",
                partial(decoder_distances, data),
            ),
        ],
        union_verdicts(data, "decoder", size),
    )


def union_label(name: str) -> str:
    """How a union is called in tables and figures."""
    return "one subspace" if name == "1" else f"{name} subspaces"


def angle_table(data: Mapping[str, Any]) -> Table:
    """Risk by angle, mean over seeds with its interval."""
    rows = []
    for name, union in data["unions"].items():
        row: dict[str, Any] = {"training": union_label(name)}
        risks = np.array(union["angle_risks"])
        for j, angle in enumerate(data["angles"]):
            row[f"{angle:g}°"] = f"{bootstrap(risks[:, j]):.3f}"
        rows.append(row)
    caption = (
        "Risk (noiseless target, last tenth of training) by the angle of the test "
        f"subspace; predicting 0 has {data['zero_risk']:g}. {seeds_note(len(risks))}"
    )
    return Table(caption, list(rows[0]), rows)


def plateau_table(data: Mapping[str, Any]) -> Table:
    """Plateau times by union, and their ratio to those of one subspace."""
    rows = []
    for name, union in data["unions"].items():
        row: dict[str, Any] = {"training": union_label(name)}
        for time in ("escape", "half_drop", "change_point"):
            found = _mean_time(union, time)
            row[time.replace("_", " ")] = f"{found:.0f}" if found.count else "–"
        row["escape / one subspace"] = str(EscapeRatio.of(union, data["unions"]["1"]))
        rows.append(row)
    caption = (
        "Plateau of the training loss in steps: escape (mean of the last 100 below 0.8 "
        "of the loss of predicting 0), half of the drop, end of the flat part (of the "
        "runs that have one; –: none has). ≥, ≤: runs that were not there by the end "
        "count with the last step; ratio –: such runs on both sides of it."
    )
    return Table(caption, list(rows[0]), rows)


def _mean_time(union: Mapping[str, Any], name: str) -> Interval:
    """Over seeds; one that dropped without a plateau before has no change point."""
    times = np.array(union[name], np.float64)
    if name == "change_point":
        dropped = ~np.isnan(np.array(union["half_drop"], np.float64))
        times = times[~(dropped & np.isnan(times))]
    return censored_interval(times, float(union["last_step"]))


def _distance_table(data: Mapping[str, Any]) -> Table:
    rows = []
    for name, union in data["unions"].items():
        row: dict[str, Any] = {"training": union_label(name)}
        for label, key in (
            ("own risk", "own"),
            ("distance to Bayes", "distance 0"),
            ("distance to ridge", "distance 1"),
        ):
            last = np.array(union["curves"][key])[:, -1]
            row[label] = f"{bootstrap(last):.3f}"
        rows.append(row)
    caption = "At the end of training, on prompts of the own tasks."
    return Table(caption, list(rows[0]), rows)


def union_verdicts(data: Mapping[str, Any], what: str, size: Size) -> list[Verdict]:
    """Whether one subspace degrades with the angle, whether the widest union does, and
    which way its plateau moves. Toy runs are too short to claim any of it."""
    one, name = data["unions"]["1"], list(data["unions"])[-1]
    many = data["unions"][name]
    claims = (
        f"One subspace: the risk of the {what} rises with the angle",
        f"{union_label(name).capitalize()}: it does not",
        f"The plateau of the {what} moves with diversity",
    )
    if size == "toy":
        risks = [union["angle_risks"] for union in data["unions"].values()]
        return [too_short(claim, risks) for claim in claims]
    single = bootstrap(_rise(one))
    union = bootstrap(_rise(many))
    share = bootstrap(_rise(one) - _rise(many))
    ratio = EscapeRatio.of(many, one)
    return [
        Verdict(
            claims[0],
            _opposite(single.is_below(0.0)),
            f"greatest rise above 0°: {single} (95 % over seeds).",
        ),
        Verdict(
            claims[1],
            _all(
                _opposite(share.is_below(0.0)),
                union.is_below(single.map(lambda rise: 0.25 * rise)),
            ),
            f"greatest rise {union}, less than a quarter of one subspace's; "
            f"difference {share}.",
        ),
        Verdict(
            claims[2],
            True if ratio.direction != "not decided" else None,
            ratio.sentence(name),
        ),
    ]


def _rise(union: Mapping[str, Any]) -> np.ndarray:
    """The greatest risk at any angle less that at 0°, for each seed."""
    risks = np.array(union["angle_risks"])
    return risks.max(axis=1) - risks[:, 0]


def _opposite(value: bool | None) -> bool | None:
    return None if value is None else not value


def _all(*values: bool | None) -> bool | None:
    return False if False in values else None if None in values else True
