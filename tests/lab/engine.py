# SPDX-License-Identifier: GPL-3.0-or-later
"""A private Docker Engine in a network namespace of its own. The machine's engine is never touched."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import docker

RUN = Path("/run/steward-lab")
DATA = Path("/var/lib/steward-lab")
# Put before the names of engines, so that two runs of the tests on one machine keep apart.
PREFIX_VARIABLE = "STEWARD_LAB_PREFIX"
_START_SECONDS = 60


class LabError(Exception):
    """The lab could not be built; the message says what the machine lacks."""


def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command; raise LabError with its own words when it fails or, as status 127, is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        done = subprocess.CompletedProcess(command, 127, "", str(error))
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(command)} failed with {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done


class LabEngine:
    """An engine with its own data, socket, process and network namespace."""

    def __init__(self, name: str = "main", data_root: Path | None = None, arguments: tuple[str, ...] = ()) -> None:
        """Prepare; `arguments` are added to dockerd's command line."""
        self.name = os.environ.get(PREFIX_VARIABLE, "") + name
        self.directory = RUN / self.name
        self.data_root = data_root or DATA / self.name
        self.namespace = f"steward-{self.name}"
        self.socket = self.directory / "docker.sock"
        self.url = f"unix://{self.socket}"
        self._pid_file = self.directory / "docker.pid"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def enter(self) -> list[str]:
        """The words that run a command in the engine's network."""
        return ["nsenter", f"--net=/run/netns/{self.namespace}"]

    def client(self) -> docker.DockerClient:
        """Return a client of the engine."""
        return docker.DockerClient(self.url, timeout=120)

    def start(self) -> LabEngine:
        """Start the engine and wait until it answers."""
        self.sweep()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data_root.mkdir(parents=True, exist_ok=True)
        run("ip", "netns", "add", self.namespace)
        run(*self.enter, "ip", "link", "set", "lo", "up")
        self._launch()
        return self

    def _launch(self) -> None:
        log = (self.directory / "dockerd.log").open("ab")
        self._process = subprocess.Popen(
            [
                *self.enter,
                "dockerd",
                f"--data-root={self.data_root}",
                f"--exec-root={self.directory / 'exec'}",
                f"--pidfile={self._pid_file}",
                f"--host={self.url}",
                *self._arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                if self.client().ping():
                    return
            except (docker.errors.DockerException, OSError):
                time.sleep(0.2)
        words = (self.directory / "dockerd.log").read_text(errors="replace").splitlines()[-5:]
        raise LabError(f"The lab's engine {self.name} did not start: {' / '.join(words)}")

    def restart(self) -> None:
        """End the engine's process and start it again on the same data."""
        self._end()
        self._launch()

    def _engine_pid(self) -> int:
        """Return the PID of this engine's dockerd, 0 when it does not run."""
        try:
            pid = int(self._pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return 0
        # A PID is used again: only a dockerd with our own pid file is ours.
        return pid if str(self._pid_file).encode() in command else 0

    def _end(self) -> None:
        pid = self._engine_pid()
        if pid:
            os.kill(pid, signal.SIGTERM)
            for _turn in range(300):
                if not self._engine_pid():
                    break
                time.sleep(0.1)
            else:
                os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(30)
            self._process = None

    def stop(self) -> None:
        """Remove all containers, end the engine and remove its data."""
        if self._engine_pid():
            client = self.client()
            for container in client.containers.list(all=True, ignore_removed=True):
                container.remove(force=True, v=True)
        self.sweep()

    def sweep(self) -> None:
        """Clear away what this engine, or a killed run before it, left."""
        self._end()
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for point in sorted(mounts, reverse=True):
            if point.startswith((f"{self.data_root}/", f"{self.directory}/")):
                run("umount", "--lazy", point, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.data_root, ignore_errors=True)
        if Path(f"/run/netns/{self.namespace}").exists():
            run("ip", "netns", "delete", self.namespace)

    def __enter__(self) -> LabEngine:
        """Start the engine."""
        return self.start()

    def __exit__(self, *_error: object) -> None:
        """Stop it and remove its data."""
        self.stop()
