"""Run the benchmarks and write their table: python benchmarks/run.py --help"""

import argparse
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]
LIMIT = 900.0  # seconds for a case


def main() -> None:
    import timing
    from cases import CASES

    asked = arguments()

    for name in set(asked.only) - set(CASES):
        raise SystemExit(f"no case {name}; there are {', '.join(CASES)}")
    label = f"{asked.name}-quick" if asked.quick else asked.name
    repeats, rows = 1 if asked.quick else asked.repeats, []
    facts = timing.machine() | timing.floor(repeats)
    for name in asked.only or CASES:
        found = apart(name, repeats, asked.quick, asked.no_peers, asked.other_python)
        print(timing.table(found), "\n", flush=True)
        rows += found
        facts["load average after"] = os.getloadavg()[0]
        # After every case: a run that is cut short keeps what it measured.
        timing.write(asked.out, label, facts, rows)
    print(*(f"{key}: {value}" for key, value in facts.items()), sep="\n")


def apart(*case: Any) -> list[Any]:
    """The rows of a case, from a process of its own.

    So no case slows the next, and one that hangs is started once more: XLA's CPU
    backend was seen to wait forever for a task that it had lost.
    """
    for _ in range(2):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            try:
                return pool.apply_async(run_case, case).get(LIMIT)
            except multiprocessing.TimeoutError:
                print(f"{case[0]} has not ended after {LIMIT:g} s", file=sys.stderr)
    raise SystemExit(f"{case[0]} did not end twice")


def run_case(
    name: str, repeats: int, quick: bool, no_peers: bool, other_python: str
) -> list[Any]:
    """The rows of a case."""
    import timing

    timing.PEERS = timing.PEERS and not no_peers
    timing.OTHER_PYTHON = other_python
    # After the line above, which these modules read.
    from cases import CASES

    return CASES[name](repeats, quick)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], help="names of cases")
    parser.add_argument("--repeats", type=int, default=5, help="of which the median")
    parser.add_argument("--quick", action="store_true", help="once, small sizes")
    parser.add_argument("--no-peers", action="store_true", help="leave PyTorch out")
    parser.add_argument(
        "--other-python",
        default="",
        metavar="PYTHON",
        help="time decoders with the JAX of this interpreter as well",
    )
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--name", default=f"cpu-{len(os.sched_getaffinity(0))}-cores")
    return parser.parse_args()


if __name__ == "__main__":
    main()
