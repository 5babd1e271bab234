# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the collection's modules through ansible-core, as a play does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STATE_VARIABLE = "STEWARD_STATE_DIR"
ANSIBLE_PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"


class ModuleRun:
    """Runs modules against one engine, with their state in a directory of the test's own."""

    def __init__(self, url: str, scratch: Path) -> None:
        """Prepare; `scratch` is for the play, the result and the host's state."""
        self.url = url
        self.scratch = scratch
        self.state = scratch / "state"
        self._count = 0

    def start(
        self,
        module: str,
        arguments: dict[str, Any],
        *,
        check: bool = False,
        diff: bool = False,
        python: str = sys.executable,
        environment: dict[str, str] | None = None,
        wrapper: tuple[str, ...] = (),
    ) -> tuple[subprocess.Popen[str], Path]:
        """Start a module in a play; return the process and where its result will be."""
        self._count += 1
        play = self.scratch / f"play{self._count}.yml"
        result = self.scratch / f"result{self._count}.json"
        task = {f"steward.docker.{module}": {"docker_host": self.url, **arguments}}
        play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
        settings = {
            "ANSIBLE_STDOUT_CALLBACK": "lab_result",
            "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callbacks"),
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
            "LAB_RESULT": str(result),
            STATE_VARIABLE: str(self.state),
        }
        command = [*wrapper, str(ANSIBLE_PLAYBOOK), "-i", "localhost,", "-c", "local"]
        command += ["-e", json.dumps({"ansible_python_interpreter": python}), str(play)]
        process = subprocess.Popen(
            command + ["--check"] * check + ["--diff"] * diff,
            env={**os.environ, **settings, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return process, result

    def pid(self, module: str) -> int:
        """Return the process in which a started module of this test runs."""
        mark = f"{STATE_VARIABLE}={self.state}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                named = len(words) > 1 and words[1].endswith(f"AnsiballZ_{module}.py".encode())
                # Its watchdog has the same words, and a name of its own.
                named = named and (process / "comm").read_text() != "steward-watch\n"
                if named and mark in (process / "environ").read_bytes().split(b"\0"):
                    return int(process.name)
            except OSError:
                # It has ended meanwhile.
                continue
        raise AssertionError(f"{module} does not run")

    def finish(self, process: subprocess.Popen[str], result: Path) -> dict[str, Any]:
        """Wait for a started module; return its whole result."""
        output, _nothing = process.communicate(timeout=600)
        if not result.exists():
            raise AssertionError(f"ansible-playbook gave no result:\n{output}")
        found: dict[str, Any] = json.loads(result.read_text())
        found["output"] = output
        return found

    def __call__(self, module: str, arguments: dict[str, Any], **how: Any) -> dict[str, Any]:
        """Run a module; return its whole result, failed or not."""
        return self.finish(*self.start(module, arguments, **how))

    def ok(self, module: str, arguments: dict[str, Any], **how: Any) -> dict[str, Any]:
        """Run a module that has to succeed; return its whole result."""
        found = self(module, arguments, **how)
        assert not found.get("failed"), found.get("msg")
        return found

    def refused(self, module: str, arguments: dict[str, Any], **how: Any) -> str:
        """Run a module that has to fail with a message of its own; return the message."""
        found = self(module, arguments, **how)
        assert found.get("failed"), f"it did not fail: {found}"
        assert "Traceback" not in json.dumps(found), found
        return str(found["msg"])
