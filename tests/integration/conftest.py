# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: a private engine for the session, and a clean slate on it for each test."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from lab.capabilities import report
from lab.engine import LabEngine
from lab.images import BUSYBOX, SERVICE, busybox
from lab.modules import ModuleRun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docker.models.containers import Container
    from docker.models.volumes import Volume

_LABELS = {"steward.test": "1"}


def pytest_report_header() -> str:
    """Say what the machine lacks."""
    return report()


@pytest.fixture(scope="session")
def lab() -> Iterator[LabEngine]:
    """Return the session's engine, with the busybox image on it."""
    with LabEngine("test") as engine:
        busybox(engine.client())
        yield engine


class Slate:
    """What a test has on the engine; all of it goes when the test ends."""

    def __init__(self, engine: LabEngine) -> None:
        """Begin with nothing."""
        self.engine = engine
        self.client = engine.client()
        self._numbers = itertools.count(1)

    def volume(self, name: str | None = None, **how: Any) -> Volume:
        """Make a volume."""
        labels = {**_LABELS, **how.pop("labels", {})}
        return self.client.volumes.create(name or f"data{next(self._numbers)}", labels=labels, **how)

    def service(self, command: list[str] | None = None, **how: Any) -> Container:
        """Start a container that ends at once when it is told to."""
        name = how.pop("name", None) or f"service{next(self._numbers)}"
        labels = {**_LABELS, **how.pop("labels", {})}
        return self.client.containers.run(BUSYBOX, command or SERVICE, name=name, detach=True, labels=labels, **how)

    def path(self, volume: str) -> Path:
        """Return a volume's directory on this host."""
        return self.engine.data_root / "volumes" / volume / "_data"

    def state(self, container: Container) -> tuple[str, str]:
        """Return a container's status and the time it was started."""
        container.reload()
        return container.status, container.attrs["State"]["StartedAt"]

    def wait_for(self, container: Container, status: str) -> None:
        """Wait until a container has that status."""
        deadline = time.monotonic() + 60
        while self.state(container)[0] != status:
            assert time.monotonic() < deadline, f"{container.name} is {container.status} and never was {status}"
            time.sleep(0.02)

    def now(self) -> str:
        """Return the time from which events() is to look."""
        return f"{time.time():.6f}"

    def events(self, since: str) -> list[tuple[str, str]]:
        """Return what the engine did to containers since then: (container, action), in its order."""
        wanted = ("pause", "unpause", "stop", "start", "destroy", "restart")
        found = self.client.api.events(since=since, until=self.now(), filters={"type": "container"}, decode=True)
        actors = [(event["Actor"]["Attributes"], event["Action"]) for event in found if event["Action"] in wanted]
        # The helper containers of a run are its own affair.
        return [(actor["name"], action) for actor, action in actors if "steward.helper" not in actor]

    def clear(self) -> None:
        """Remove every container and volume."""
        for container in self.client.containers.list(all=True, ignore_removed=True):
            container.remove(force=True, v=True)
        for volume in self.client.volumes.list():
            volume.remove(force=True)
        self.client.close()


@pytest.fixture
def slate(lab: LabEngine) -> Iterator[Slate]:
    """Return a clean slate on the session's engine."""
    found = Slate(lab)
    yield found
    found.clear()


@pytest.fixture
def modules(lab: LabEngine, tmp_path: Path) -> ModuleRun:
    """Return what runs modules through ansible-core against the session's engine."""
    return ModuleRun(lab.url, tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return the path of a store that is not there yet."""
    return tmp_path / "store"


class Keeper:
    """Backs up and restores in a test's store."""

    def __init__(self, modules: ModuleRun, store: Path) -> None:
        """Take the store and what runs modules."""
        self.modules = modules
        self.common = {"store": str(store), "host": "here"}

    def backup(self, *volumes: str, **options: Any) -> dict[str, Any]:
        """Back up volumes; return the result."""
        how = {key: options.pop(key) for key in ("check", "diff") if key in options}
        return self.modules.ok("volume_backup", {**self.common, "volumes": list(volumes), **options}, **how)

    def restore(self, volume: str, **options: Any) -> dict[str, Any]:
        """Restore a volume; return the result."""
        how = {key: options.pop(key) for key in ("check", "diff") if key in options}
        return self.modules.ok("volume_restore", {**self.common, "volume": volume, **options}, **how)

    def no_backup(self, **options: Any) -> str:
        """Ask for a backup that has to be refused; return the message."""
        return self.modules.refused("volume_backup", {**self.common, **options})

    def no_restore(self, **options: Any) -> str:
        """Ask for a restore that has to be refused; return the message."""
        return self.modules.refused("volume_restore", {**self.common, **options})


@pytest.fixture
def keeper(modules: ModuleRun, store: Path) -> Keeper:
    """Return what backs up and restores in a store of the test's own."""
    return Keeper(modules, store)


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a Python that has no Docker SDK."""
    place = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    return str(place / "bin" / "python")


@pytest.fixture(scope="session")
def without_sdk() -> tuple[str, ...]:
    """Return the words that hide the system Python's Docker SDK from what is run after them."""
    package = "/usr/lib/python3/dist-packages/docker"
    return ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {package} && exec "$@"', "sh")
