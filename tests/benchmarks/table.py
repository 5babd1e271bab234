# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured, as Markdown, and the machine that it was measured on."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from lab.engine import run
from tests.benchmarks.bench import SCRATCH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.engine import LabEngine
    from tests.benchmarks.bench import MemoryRow, TimeRow, Times

_MEMORY_REACH_MIB = 100


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Return a Markdown table; all columns but text are flush right."""
    text = ("what", "peer")
    rule = ["---" if name in text else "---:" for name in head]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *rows))


def _both(times: Times) -> str:
    """Return the best of the times and, in parentheses, the median."""
    return f"{times.best:.2f} ({times.median:.2f})"


def time_table(rows: list[TimeRow]) -> str:
    """Return the table of times, "" without rows."""
    if not rows:
        return ""
    head = ["what", "ours (s)", "peer", "peer (s)", "ratio", "to reach", "whole playbook run (s)"]
    lines = [
        [
            row.what,
            _both(row.ours),
            row.peer,
            _both(row.theirs),
            f"{row.ours.best / row.theirs.best:.2f}",
            f"{row.reach:g}",
            _both(row.playbook),
        ]
        for row in rows
    ]
    note = f"Best of {len(rows[0].ours.taken)} (median in parentheses), caches warm; the ratio is of the best."
    return f"{_table(head, lines)}\n\n{note}"


def memory_table(rows: list[MemoryRow]) -> str:
    """Return the table of memory, "" without rows."""
    if not rows:
        return ""
    head = ["what", "at the start (MiB)", "peak (MiB)", "over the start (MiB)", "to reach"]
    lines = [
        [
            row.what,
            f"{row.found.start / 1024:.0f}",
            f"{row.found.peak / 1024:.0f}",
            f"{(row.found.peak - row.found.start) / 1024:.0f}",
            f"{_MEMORY_REACH_MIB}",
        ]
        for row in rows
    ]
    note = "Resident memory of the module's own process, once; tar and zstd run beside it."
    return f"{_table(head, lines)}\n\n{note}"


def _version(*command: str) -> str:
    """Return the first line in which a program names its version."""
    return run(*command).stdout.splitlines()[0].strip("* ")


def _file_system(path: str) -> str:
    """Return the type of the file system that a path is on."""
    return run("findmnt", "--noheadings", "--output", "FSTYPE", "--target", path).stdout.strip()


def machine(engine: LabEngine) -> str:
    """Return the machine and its programs, a line each."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    client = engine.client()
    docker = client.version()["Version"]
    client.close()
    facts = {
        "Machine": f"{os.cpu_count()} cores, {memory:.0f} GiB of memory, {platform.machine()}",
        "Kernel": platform.release(),
        "File system": f"{_file_system(str(engine.data_root))} for the volumes, {_file_system(str(SCRATCH))} for the stores",
        "Python": platform.python_version(),
        "tar": _version("tar", "--version"),
        "zstd": _version("zstd", "--version"),
        "restic": _version("restic", "version"),
        "Docker": docker,
    }
    return "\n".join(f"- {name}: {fact}" for name, fact in facts.items())
