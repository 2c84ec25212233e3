"""Run the benchmarks and write their table: python benchmarks/run.py --help"""

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]


def main() -> None:
    import timing

    asked = arguments()
    timing.PEERS = timing.PEERS and not asked.no_peers
    # After the line above, which these modules read.
    from cases import CASES

    for name in set(asked.only) - set(CASES):
        raise SystemExit(f"no case {name}; there are {', '.join(CASES)}")
    label = f"{asked.name}-quick" if asked.quick else asked.name
    repeats, rows = 1 if asked.quick else asked.repeats, []
    facts = timing.machine() | timing.floor(repeats)
    for name in asked.only or CASES:
        found = CASES[name](repeats, asked.quick)
        print(timing.table(found), "\n", flush=True)
        rows += found
        facts["load average after"] = os.getloadavg()[0]
        # After every case: a run that is cut short keeps what it measured.
        timing.write(asked.out, label, facts, rows)
    print(*(f"{key}: {value}" for key, value in facts.items()), sep="\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], help="names of cases")
    parser.add_argument("--repeats", type=int, default=5, help="of which the median")
    parser.add_argument("--quick", action="store_true", help="once, small sizes")
    parser.add_argument("--no-peers", action="store_true", help="leave PyTorch out")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--name", default=f"cpu-{len(os.sched_getaffinity(0))}-cores")
    return parser.parse_args()


if __name__ == "__main__":
    main()
