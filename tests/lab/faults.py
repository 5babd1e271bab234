# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills a module at an exact step, from outside: strace injects SIGKILL at a system call of the module's first thread.

Threads, children and whatever else the module starts are not followed, so that they are never hit in its place.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lab.modules import STATE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIRECT = Path(__file__).with_name("direct.py")
# What changes something outside of the process, or asks somebody else to do it.
STEPS = (
    "rename renameat renameat2 link linkat unlink unlinkat rmdir mkdir mkdirat fsync fdatasync syncfs "
    "ftruncate pwrite64 sendto clone clone3 vfork flock exit_group"
).split()
_TRACED = [*STEPS, "write"]
_SECONDS = 180


class Step(NamedTuple):
    """The nth call of a system call, and how strace shows it."""

    call: str
    number: int
    line: str


class NotHitError(Exception):
    """The module ended by itself before the step that was aimed at."""


class DirectRun:
    """Runs modules against one engine, each as a process of its own, with their state in a directory of the test's."""

    def __init__(self, url: str, scratch: Path, **common: Any) -> None:
        """Prepare; `common` are arguments that every run gets."""
        self._url = url
        self._scratch = scratch
        self._common = common
        self.state = scratch / "state"
        self.environment: dict[str, str] = {}

    def start(self, module: str, arguments: dict[str, Any], wrapper: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Start a module; finish() has its result."""
        process = subprocess.Popen(
            [*wrapper, sys.executable, str(_DIRECT), module],
            env={**os.environ, STATE_VARIABLE: str(self.state), **self.environment},
            # Files, not pipes: what outlives the module may keep them open.
            stdin=subprocess.PIPE,
            stdout=(self._scratch / "result.json").open("wb"),
            stderr=(self._scratch / "errors.txt").open("wb"),
            text=True,
        )
        if process.stdin is None:
            raise ValueError("there is no pipe to the module")
        json.dump({"docker_host": self._url, **self._common, **arguments}, process.stdin)
        process.stdin.close()
        return process

    def finish(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """Wait for a module that ends by itself; return its whole result."""
        process.wait(_SECONDS)
        output = (self._scratch / "result.json").read_text()
        if not output.strip():
            raise AssertionError(f"the module gave no result:\n{(self._scratch / 'errors.txt').read_text()}")
        found: dict[str, Any] = json.loads(output.splitlines()[-1])
        return found

    def __call__(self, module: str, arguments: dict[str, Any], wrapper: tuple[str, ...] = ()) -> dict[str, Any]:
        """Run a module; return its whole result, failed or not."""
        return self.finish(self.start(module, arguments, wrapper))

    def ok(self, module: str, arguments: dict[str, Any], *, check: bool = False) -> dict[str, Any]:
        """Run a module that has to succeed; return its whole result."""
        found = self(module, {**arguments, "_ansible_check_mode": check})
        assert not found.get("failed"), found.get("msg")
        return found

    def record(self, module: str, arguments: dict[str, Any]) -> list[Step]:
        """Run a module that has to succeed; return its steps in their order."""
        trace = self._scratch / "recorded.txt"
        found = self(module, arguments, _strace(trace, _TRACED))
        assert not found.get("failed"), found.get("msg")
        return list(_steps(trace))

    def kill(self, module: str, arguments: dict[str, Any], step: Step) -> str:
        """Run a module that is killed as it begins that step; return how strace shows where it was killed."""
        trace = self._scratch / "killed.txt"
        inject = ("-e", f"inject={step.call}:signal=KILL:when={step.number}")
        run = self.start(module, arguments, (*_strace(trace, [step.call]), *inject))
        # strace ends as what it traced has ended.
        ended = run.wait(_SECONDS)
        steps = list(_steps(trace))
        if ended != -signal.SIGKILL:
            raise NotHitError(f"The run ended by itself, with {ended}, before {step}.")
        assert len(steps) == step.number and steps[-1].line.endswith("= ?"), f"killed from elsewhere: {steps[-1:]}"
        return steps[-1].line


def _strace(trace: Path, calls: list[str]) -> tuple[str, ...]:
    # Without -f it follows the first thread only.
    return ("strace", "-y", "-s", "160", "-o", str(trace), "-e", f"trace={','.join(calls)}", "-e", "signal=none")


def _steps(trace: Path) -> Iterator[Step]:
    """Return the system calls of a trace, each with its number among those of its name."""
    counts: dict[str, int] = {}
    for line in trace.read_text(errors="replace").splitlines():
        found = re.match(r"(\w+)\(", line)
        if found:
            call = found.group(1)
            counts[call] = counts.get(call, 0) + 1
            yield Step(call, counts[call], line)
