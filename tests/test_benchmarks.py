"""The benchmarks run: small sizes here, all cases with -m slow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent.parent / "benchmarks" / "run.py"


def table(tmp_path, *arguments):
    """What the command prints and the rows it writes."""
    out = subprocess.run(
        [sys.executable, str(RUN), "--quick", "--out", str(tmp_path), *arguments],
        env=os.environ | {"JAX_ENABLE_X64": "0"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    (path,) = tmp_path.glob("*.json")
    record = json.loads(path.read_text())
    assert path.with_suffix(".md").read_text().count("\n| ") == len(record["rows"]) + 1
    return out, record


@pytest.mark.ci
def test_a_table_with_ratios_and_the_floor_is_printed_and_written(tmp_path):
    out, record = table(tmp_path, "--only", "fixed", "--no-peers")
    assert record["facts"]["matmul GFLOP/s"] > 1 and "ns per normal" in out
    (row,) = record["rows"]
    assert row["ratio"] == pytest.approx(row["theirs"] / row["ours"])
    assert row["case"] in out and f"{row['ratio']:.2f}×" in out


@pytest.mark.slow
def test_every_case_runs(tmp_path):
    _, record = table(tmp_path)
    assert len(record["rows"]) >= 12 and all(row["ours"] > 0 for row in record["rows"])
