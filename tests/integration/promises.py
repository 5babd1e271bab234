# SPDX-License-Identifier: GPL-3.0-or-later
"""A small world of containers on one volume, and what has to hold in it after every fault."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Slate
    from docker.models.containers import Container

    from lab.faults import DirectRun

HOST = "here"
VOLUME = "data"
_WATCHDOG_SECONDS = 60
_SMALL = 30


def digest(root: Path) -> str:
    """Return what a tree is, by means of the test's own: names, kinds, modes, owners, times, attributes and content."""
    found = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        facts = [str(path.relative_to(root)), status.st_mode, status.st_uid, status.st_gid]
        if path.is_symlink():
            facts.append(os.readlink(path))
        elif path.is_file():
            facts += [status.st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()]
        names = sorted(os.listxattr(path, follow_symlinks=False))
        facts += [(name, os.getxattr(path, name, follow_symlinks=False)) for name in names]
        found.update(repr(facts).encode())
    return found.hexdigest()


class World:
    """A volume with a service, one that needs it, a reader, and one that its operator stopped."""

    def __init__(self, slate: Slate, run: DirectRun, store: Path) -> None:
        """Make it. The number of containers and files is the same each time, and so are a run's steps."""
        self.slate = slate
        self.run = run
        self.store = store
        self.words = 0
        slate.volume(VOLUME, labels={"kept": "yes"})
        self.root = slate.path(VOLUME)
        self.home = store / HOST / "volumes" / VOLUME
        labels = {"com.docker.compose.project": "shop"}
        app = {**labels, "com.docker.compose.service": "app"}
        web = {
            **labels,
            "com.docker.compose.service": "web",
            "com.docker.compose.depends_on": "app:service_started:true",
        }
        mounted = [f"{VOLUME}:/data"]
        self.running = [
            slate.service(name="app", volumes=mounted, labels=app),
            slate.service(name="web", volumes=mounted, labels=web),
            slate.service(name="reader", volumes=[f"{VOLUME}:/data:ro"]),
        ]
        stopped = slate.service(name="stopped", volumes=mounted)
        stopped.stop()
        self.operators: list[tuple[Container, str]] = [(stopped, "exited")]

    def pause_one(self) -> None:
        """Let a further container be paused by its operator; a restore would refuse it."""
        paused = self.slate.service(name="paused", volumes=[f"{VOLUME}:/data"])
        paused.pause()
        self.operators.append((paused, "paused"))

    def write(self) -> str:
        """Let every file say another word than before, so that a mixture shows; return the tree's digest."""
        self.words += 1
        for number in range(_SMALL):
            (self.root / f"file{number}").write_text(f"word{self.words} " * 300)
        for number in range(2):
            # What does not compress: the archive is written in several pieces.
            (self.root / f"big{number}").write_bytes(os.urandom(3 << 20))
        link = self.root / "link"
        link.unlink(missing_ok=True)
        link.symlink_to(f"file{self.words % _SMALL}")
        return digest(self.root)

    def digest(self) -> str:
        """Return the digest of the data as it is."""
        return digest(self.root)

    def lose(self) -> None:
        """Lose the volume, and those who use it with it."""
        for container in [*self.running, *(container for container, _status in self.operators)]:
            container.remove(force=True)
        self.running, self.operators = [], []
        self.slate.client.volumes.get(VOLUME).remove()

    def backup(self, *, check: bool = False, **options: Any) -> dict[str, Any]:
        """Back up; return the result."""
        return self.run.ok("volume_backup", {"volumes": [VOLUME], **options}, check=check)

    def restore(self, **options: Any) -> dict[str, Any]:
        """Restore; return the result."""
        return self.run.ok("volume_restore", {"volume": VOLUME, **options})

    def wait_until_back(self) -> None:
        """Wait until everything that ran runs: the watchdog of a killed run does that at once."""
        deadline = time.monotonic() + _WATCHDOG_SECONDS
        while not self._all_run():
            assert time.monotonic() < deadline, "no watchdog has put the containers back"
            time.sleep(0.1)

    def _all_run(self) -> bool:
        return {self.slate.state(container)[0] for container in self.running} <= {"running"}

    def assert_containers_as_before(self) -> None:
        """Assert that what ran runs, on the data that is there, and that what an operator stopped or paused is so still."""
        states = {container.name: self.slate.state(container)[0] for container in self.running}
        assert set(states.values()) <= {"running"}, f"not as before: {states}"
        for container, status in self.operators:
            assert self.slate.state(container)[0] == status, container.name
        expected = hashlib.sha256((self.root / "file0").read_bytes()).hexdigest()
        for container in self.running:
            seen = container.exec_run(["sha256sum", "/data/file0"]).output.decode()
            assert seen.split()[0] == expected, f"{container.name} sees other data than the host"

    def assert_backups_whole(self) -> None:
        """Assert that every backup that is listed reads to its end and is what its index says."""
        if not self.store.exists():
            return
        found = self.run.ok("backup_info", {"verify": "full"})
        assert found["damaged"] == [], found["damaged"]
        assert all(row["status"] == "whole" for row in found["backups"]), found["backups"]

    def assert_newest_is(self, expected: str) -> None:
        """Assert that the newest backup, extracted by tar alone, is that tree."""
        newest = self.run.ok("backup_info", {})["backups"][0]
        with tempfile.TemporaryDirectory() as place:
            subprocess.run(
                ["tar", "--zstd", "--xattrs", "--xattrs-include=*", "-xpf", newest["path"], "-C", place], check=True
            )
            assert digest(Path(place)) == expected, f"{newest['id']} is not the data it was made of"

    def assert_nothing_left(self, previous: int = 0) -> None:
        """Assert that there are no temporary files in the store, beside the data or in the state, no helpers, no processes."""
        assert [path.name for path in self.store.rglob(".*")] == []
        names = sorted(path.name for path in self.home.iterdir())
        listed = {row["id"] for row in self.run.ok("backup_info", {})["backups"]}
        assert {name.split(".")[0] for name in names} == listed and len(names) == 3 * len(listed), names
        beside = sorted(path.name for path in self.root.parent.iterdir() if path.name != self.root.name)
        kinds = [name.split("-")[1] for name in beside]
        assert kinds == ["previous"] * previous, beside
        assert [str(path) for path in self.run.state.rglob(".tmp-*")] == []
        assert [str(path) for path in self.run.state.glob("journal/*")] == []
        chosen = {"label": "steward.helper"}
        assert self.slate.client.api.containers(all=True, filters=chosen) == []
        assert self.slate.client.api.images(all=True, filters=chosen) == []
        assert _processes_on(self.root) == []

    def assert_walk_is_true(self) -> None:
        """Assert that no change is no backup and one changed byte is one; the byte is put back."""
        assert self.backup(check=True)["changed"] is False
        page = self.root / "file0"
        content, status = page.read_bytes(), page.stat()
        page.write_bytes(b"W" + content[1:])
        os.utime(page, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert self.backup(check=True)["changed"] is True
        page.write_bytes(content)
        os.utime(page, ns=(status.st_atime_ns, status.st_mtime_ns))

    def previous(self) -> list[str]:
        """Return the digests of the trees that restores have left beside the data."""
        return [digest(path / "tree") for path in self.root.parent.glob(".steward-previous-*")]


def _processes_on(root: Path) -> list[str]:
    """Return the command lines that name the data: a killed run's tar, for example."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(root.parent) in command:
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found
