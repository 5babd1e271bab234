# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab by hand: `python -m lab fleet up|down|shell HOST`, `python -m lab capabilities`."""

from __future__ import annotations

import sys

from lab import fleet
from lab.capabilities import report
from lab.engine import LabError


def main(words: list[str]) -> int:
    """Do what the words say; return the exit status."""
    try:
        match words:
            case ["fleet", "up"]:
                print(report())
                fleet.up()
            case ["fleet", "down"]:
                fleet.down()
            case ["fleet", "shell", host]:
                fleet.shell(host)
            case ["capabilities"]:
                print(report())
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
