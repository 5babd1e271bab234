# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures the modules beside their peers and prints a table: `python -m tests.benchmarks [ROW ...] [--repeat N]`."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lab.engine import LabEngine, LabError
from tests.benchmarks.bench import SCRATCH, Bench, BenchError
from tests.benchmarks.rows import ROWS
from tests.benchmarks.table import machine, memory_table, time_table


def _arguments(words: list[str]) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="Speed beside the peers, as a table.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"which to measure: {', '.join(ROWS)} (default: all)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="how often each time is taken (default: 3)")
    parser.add_argument("--files", type=int, default=50_000, metavar="N", help="the small files (default: 50000)")
    parser.add_argument("--million", action="store_true", help="measure memory with a million files, not 200000")
    found = parser.parse_args(words)
    unknown = [name for name in found.rows if name not in ROWS]
    if unknown or found.repeat < 1 or found.files < 1:
        parser.error(f"there is no row {', '.join(unknown)}" if unknown else "a number is less than 1")
    return found


def _terminate(*_signal: object) -> None:
    """Leave through every `finally`."""
    sys.exit(128 + signal.SIGTERM)


def main(words: list[str]) -> int:
    """Measure what was asked for and print it; return the exit status."""
    asked = _arguments(words)
    signal.signal(signal.SIGTERM, _terminate)
    engine = LabEngine("bench")
    try:
        with tempfile.TemporaryDirectory(prefix="steward-bench-", dir=SCRATCH) as scratch:
            try:
                engine.start()
                bench = Bench(engine, Path(scratch), asked.repeat, asked.files, 1_000_000 if asked.million else 200_000)
                for name in asked.rows or ROWS:
                    print(f"measuring {name} ...", file=sys.stderr, flush=True)
                    ROWS[name](bench)
                facts = machine(engine)
            finally:
                engine.stop()
    except (BenchError, LabError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print("\n\n".join(filter(None, [time_table(bench.times), memory_table(bench.memory), facts])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
