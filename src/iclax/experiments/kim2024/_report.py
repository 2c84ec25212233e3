"""What the recipe shows and claims, from saved data."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...evaluation import Interval, bootstrap, bootstrap_ratio
from ...report import Figure, Section, Table, Verdict
from .._recipe import Size
from .._steps import reached_or_last
from .._toy import too_short
from ._families import LABELS
from ._plans import PLANS


def report(data: Mapping[str, dict[str, Any]], size: Size) -> Sequence[Section]:
    """Both sections."""
    plan = PLANS[size]
    sets = [s for group in plan.groups for s in data[f"train_{group}"]["sets"]]
    steps = data[f"train_{next(iter(plan.groups))}"]["steps"]
    return [
        _normalizer_section(data["normalizers"]["rows"]),
        _times_section(by_family(sets, plan.steps), steps, plan, size),
    ]


def by_family(
    sets: Sequence[Mapping[str, Any]], last: int
) -> dict[str, dict[int, dict[str, Any]]]:
    """For each family and number k of families trained together: escape and completion
    steps [set × seed], None being "not by the `last` step", and curves."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for trained in sets:
        k = len(trained["names"])
        for name, numbers in trained["families"].items():
            at = found.setdefault(name, {}).setdefault(
                k, {"escape": [], "completion": [], "curves": [], "last": last}
            )
            for key in ("escape", "completion", "curves"):
                at[key] += numbers[key]
    return found


def times(numbers: Mapping[str, Any], name: str = "escape") -> np.ndarray:
    """Steps of all runs; one that had not come counts as the last step."""
    return reached_or_last(numbers[name], numbers["last"])


def escape_ratio(numbers: Mapping[int, Mapping[str, Any]]) -> Interval | None:
    """Escape steps in the largest set over those alone; None if trained one way only,
    or if some run of the largest set never escaped."""
    most = max(numbers)
    if most == 1 or None in numbers[most]["escape"]:
        return None
    return bootstrap_ratio(times(numbers[most]), times(numbers[1]))


def _normalizer_section(rows: Sequence[Mapping[str, Any]]) -> Section:
    table = Table(
        "Heights of the plateaus at d = 10 and n = 120, squared error or logistic loss "
        "in nats.",
        ["family", "computed", "published code", "difference"],
        [
            {
                "family": LABELS[row["name"]],
                "computed": row["computed"],
                "published code": row["published"] or "drawn at the start",
                "difference": (
                    row["published"] - row["computed"] if row["published"] else "–"
                ),
            }
            for row in rows
        ],
    )
    known = {row["name"]: row for row in rows}
    same = [n for n in ("linear", "sparse", "quadratic", "tree")]
    worst = max(abs(known[n]["published"] / known[n]["computed"] - 1) for n in same)
    binary = ("parity2", "parity3", "parity", "conjunction", "disjunction")
    gaps = [known[n]["published"] - known[n]["computed"] for n in binary]
    return Section(
        "The height of a plateau",
        [
            "Every family's loss is divided by that of the best prediction that does "
            "not relate labels to inputs, so that all plateaus lie at height 1. The "
            "heights are computed here: in closed form, or by counting subsets.",
            "For conjunctions and disjunctions this is the best use of the labels "
            "alone (their frequency tells how many literals there are); the best "
            "function of the query alone has a higher loss. The published Boolean "
            "constants are measured values: they lie above the computed optimum, and "
            "that of parity above ln 2 = 0.69315, which a fair coin attains. Their "
            "constant for retrieval is the variance of the values' distribution; the "
            "computed one is that of the four values each key really has.",
        ],
        [table],
        [],
        [
            Verdict(
                "Squared-error families: the computed heights are the published ones",
                bool(worst < 1e-9),
                f"largest relative difference {worst:.1e}.",
            ),
            Verdict(
                "Boolean families: no published constant is below the computed optimum",
                all(0 < gap < 0.02 for gap in gaps),
                f"they exceed it by {min(gaps):.4f} to {max(gaps):.4f} nats.",
            ),
        ],
    )


def _times_section(
    families: dict[str, dict[int, dict[str, Any]]], steps: Any, plan: Any, size: Size
) -> Section:
    from ...figures import escape_curves, family_losses

    joint = {name: found for name, found in families.items() if max(found) > 1}
    return Section(
        "Alone and together",
        [
            f"A decoder of {plan.layers} layers and width {plan.width} learns the "
            f"families on R^{plan.dim} from prompts of {plan.num_points} points, by "
            f"Adam ({plan.rate:g}) on the sum of the normalized losses, with "
            f"{plan.batch_size} prompts of every family in a batch, alone or together; "
            "Adam does not see the scale of the sum.",
            "Escape: the mean of the last 100 normalized losses is below 0.8. "
            "Completion: at the last point below 0.1 (quadratics 0.2), or 95 % of the "
            "signs right. Losses are those of fixed test prompts, recorded every "
            f"{plan.record_every} steps.",
        ],
        [_times_table(families), _ratio_table(joint)],
        [
            Figure(
                "escape",
                "Steps to leave the plateau against the number of families trained "
                "together; 95 % intervals over sets and seeds. Open markers: some runs "
                "had not escaped by the end, which is a lower bound.",
                partial(escape_curves, _points(joint), LABELS),
            ),
            Figure(
                "family_losses",
                "Normalized loss alone (one line a seed) and with all families; "
                "dotted: the escape level.",
                partial(family_losses, joint, LABELS, steps),
            ),
        ],
        _verdicts(joint, size),
    )


def _points(
    joint: Mapping[str, Mapping[int, Mapping[str, Any]]],
) -> dict[str, list[dict[str, Any]]]:
    """Mean escape steps with their intervals, for the figure."""
    return {
        name: [
            {
                "families": k,
                **vars(bootstrap(times(found[k]))),
                "censored": None in found[k]["escape"],
            }
            for k in sorted(found)
        ]
        for name, found in joint.items()
    }


def _times_table(families: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> Table:
    counts = sorted({k for found in families.values() for k in found})
    rows = [
        {
            "families": k,
            **{
                LABELS[name]: _time_text(found[k]) if k in found else "–"
                for name, found in families.items()
            },
        }
        for k in counts
    ]
    caption = (
        "Escape step (completion step), mean over the sets that contain the family and "
        "over seeds, by the number of families trained together; ≥: some runs were not "
        "there by the end and count with the last step."
    )
    return Table(caption, list(rows[0]), rows)


def _time_text(numbers: Mapping[str, Any]) -> str:
    escape, done = (
        f"{'≥ ' if None in numbers[name] else ''}{times(numbers, name).mean():.0f}"
        for name in ("escape", "completion")
    )
    return f"{escape} ({done})"


def _ratio_table(joint: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> Table:
    rows = []
    for name, found in joint.items():
        most = max(found)
        ratio = escape_ratio(found)
        alone = sum(t is None for t in found[1]["escape"])
        rows.append(
            {
                "family": LABELS[name],
                "alone": str(bootstrap(times(found[1]))),
                f"with all {most}": str(bootstrap(times(found[most]))),
                "ratio": "–"
                if ratio is None
                else f"{'≤ ' if alone else ''}{ratio:.2f}",
                "not escaped alone": f"{alone} of {len(found[1]['escape'])}",
                "direction": _direction(ratio),
            }
        )
    caption = (
        "Escape steps alone and with all families [95 % intervals over seeds], and "
        "their ratio; ≤: runs that had not escaped alone count with the last step."
    )
    return Table(caption, list(rows[0]), rows)


_EARLIER = "At least four families escape earlier with the others than alone"
_FALLING = "Escape steps fall with the number of families"
_OPEN = "not decided"


def _direction(ratio: Interval | None) -> str:
    if ratio is None:
        return "not escaped together"
    return ratio.side(1.0, "earlier", "later", _OPEN)


def _at_least_four(earlier: int, undecided: int) -> bool | None:
    """None where the undecided families could still make it four."""
    return True if earlier >= 4 else None if earlier + undecided >= 4 else False


def _verdicts(
    joint: Mapping[str, Mapping[int, Mapping[str, Any]]], size: Size
) -> list[Verdict]:
    if size == "toy":
        curves = [
            c for found in joint.values() for n in found.values() for c in n["curves"]
        ]
        return [too_short(claim, curves) for claim in (_EARLIER, _FALLING)]
    ratios = {name: escape_ratio(found) for name, found in joint.items()}
    named: dict[str, list[str]] = {}
    for name, ratio in ratios.items():
        named.setdefault(_direction(ratio), []).append(LABELS[name])
    earlier = named.get("earlier", [])
    means = mean_times(joint)
    first, last = means[min(means)], means[max(means)]
    told = ", ".join(f"{k}: {v:.0f}" for k, v in means.items())
    return [
        Verdict(
            _EARLIER,
            _at_least_four(len(earlier), len(named.get(_OPEN, []))),
            "; ".join(f"{what}: {', '.join(names)}" for what, names in named.items())
            + " (95 % intervals of the ratio over seeds).",
        ),
        Verdict(
            _FALLING,
            last.is_below(first),
            f"geometric mean over the families by number trained together: {told}.",
        ),
    ]


def mean_times(
    joint: Mapping[str, Mapping[int, Mapping[str, Any]]],
) -> dict[int, Interval]:
    """The geometric mean over the families of their escape steps, by the number of
    families trained together; run i of each family is drawn with that of the others."""
    counts = sorted(set.intersection(*(set(found) for found in joint.values())))
    found = {}
    for k in counts:
        logs = [np.log(times(numbers[k])) for numbers in joint.values()]
        runs = min(map(len, logs))
        means = bootstrap(np.mean([log[:runs] for log in logs], axis=0))
        found[k] = means.map(np.exp)
    return found
