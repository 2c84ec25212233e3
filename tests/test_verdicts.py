"""Verdicts are true, false or not decided, all the way to the exit code."""

import json

import pytest

from iclax.cli import main
from iclax.evaluation import Interval
from iclax.experiments._recipe import Recipe
from iclax.report import Section, Verdict, overall, sections_text, tally, write_html


def verdicts(*outcomes):
    return [Verdict(f"v{i}", passed, "text") for i, passed in enumerate(outcomes)]


@pytest.mark.parametrize(
    "outcomes, together, words",
    [
        ([], None, "not judged"),
        ([True, True], True, "2 of 2 verdicts hold"),
        ([True, None], None, "1 of 2 verdicts hold, 1 is not decided"),
        ([None, None], None, "0 of 2 verdicts hold, 2 are not decided"),
        (
            [True, False, None],
            False,
            "1 of 3 verdicts hold, 1 fails, 1 is not decided",
        ),
        ([False, False], False, "0 of 2 verdicts hold, 2 fail"),
    ],
)
def test_outcomes_together(outcomes, together, words):
    assert overall(verdicts(*outcomes)) is together
    assert tally(verdicts(*outcomes)).startswith(words)
    assert Section("s", verdicts=verdicts(*outcomes)).passed is together


@pytest.mark.parametrize("outcomes, code", [((True, None), 0), ((None, False), 1)])
def test_reproduce_fails_only_where_a_claim_fails(
    outcomes, code, tmp_path, monkeypatch, capsys
):
    recipe = Recipe(
        "r",
        "R",
        "ref",
        "sum",
        lambda size, seed: [],
        lambda data, size: [Section("s", ["p"], verdicts=verdicts(*outcomes))],
    )
    monkeypatch.setattr("iclax.cli._recipes.find_recipe", lambda name: recipe)
    for options in ((), ("--json",)):
        with pytest.raises(SystemExit) as caught:
            main(["reproduce", "r", "--out", str(tmp_path), *options])
        assert caught.value.code == code
    text, _, printed = capsys.readouterr().out.rpartition("\n{")
    found = json.loads("{" + printed)
    assert found["passed"] is (False if code else None)
    assert [v["passed"] for v in found["verdicts"]] == list(outcomes)
    assert tally(verdicts(*outcomes)) in text and "not decided  v" in text
    page = (tmp_path / "report.html").read_text()
    assert '<li class="undecided">' in page and "not decided" in page
    assert json.loads((tmp_path / "verdicts.json").read_text())["passed"] is (
        False if code else None
    )


def test_reports_show_three_outcomes(tmp_path):
    section = Section("s", ["p"], verdicts=verdicts(True, False, None))
    assert [
        w for w in ("holds", "FAILS", "not decided") if w in sections_text([section])
    ]
    write_html(
        tmp_path / "r.html", title="t", sections=[section], facts={}, figures=tmp_path
    )
    page = (tmp_path / "r.html").read_text()
    for kind in ("held", "failed", "undecided"):
        assert f'<li class="{kind}">' in page
    assert '<p class="failed">' in page


def interval(low, high, count=3):
    return Interval((low + high) / 2, float(low), float(high), count)


def test_intervals_that_overlap_decide_nothing():
    assert interval(1, 2).is_below(3) is True
    assert interval(1, 2).is_below(0.5) is False
    assert interval(1, 2).is_below(1.5) is None
    assert interval(1, 2).is_below(interval(2.5, 3)) is True
    assert interval(1, 2).is_below(interval(1.5, 3)) is None
    assert interval(2, 3).is_below(interval(0, 1)) is False
    assert interval(1, 2, 1).is_below(3) is None
    assert interval(1, 2).is_below(interval(2.5, 3, 1)) is None
