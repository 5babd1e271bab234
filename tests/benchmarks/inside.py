# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one module's job as the module would, in this process, and prints its seconds and memory as JSON."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.testing import patch_module_args

_MODULES = "ansible_collections.steward.docker.plugins.modules"


def _memory(field: str) -> int:
    """Return a field of this process's status in KiB; getrusage() would count what it was before its exec, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def _run_job(_module: Any, make: Any) -> None:
    """Do what run_job does between the module's arguments and its exit, until all is on the disk, and print it."""
    # 5 sets the peak back to what is resident now (proc(5)).
    Path("/proc/self/clear_refs").write_text("5")
    start = _memory("VmRSS")
    began = time.perf_counter()
    with make() as job:
        job.observe()
        job.plan()
        job.apply()
        report = job.report()
    os.sync()
    seconds = time.perf_counter() - began
    found = {"changed": report.changed, "seconds": seconds, "start": start, "peak": _memory("VmHWM")}
    if report.failures:
        sys.exit(" ".join(report.failures))
    print(json.dumps(found))


def main(name: str) -> None:
    """Let the module read its arguments, from standard input, and run its job."""
    module = importlib.import_module(f"{_MODULES}.{name}")
    module.__dict__["run_job"] = _run_job
    with patch_module_args(json.load(sys.stdin)):
        module.main()


if __name__ == "__main__":
    main(sys.argv[1])
