# SPDX-License-Identifier: GPL-3.0-or-later
"""What every measurement needs: trees in volumes, fresh places, and the modules run in two ways."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from lab.modules import ModuleRun
from tests.benchmarks import data

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.engine import LabEngine

ROOT = Path(__file__).parents[2]
SCRATCH = Path("/var/tmp")
# What changed less than two seconds before a backup is read again by the next one, whatever its times say.
_SETTLED_SECONDS = 2.5


class BenchError(Exception):
    """A measurement could not be made; the message says why."""


class Inside(NamedTuple):
    """A job run without Ansible: its seconds, and its resident memory in KiB at the start and at most."""

    changed: bool
    seconds: float
    start: int
    peak: int


class Times(NamedTuple):
    """The seconds of one thing, each repetition's."""

    taken: tuple[float, ...]

    @property
    def best(self) -> float:
        """The shortest."""
        return min(self.taken)

    @property
    def median(self) -> float:
        """The one in the middle."""
        return median(self.taken)


class TimeRow(NamedTuple):
    """One line of the table of times; `reach` is the ratio that is aimed at."""

    what: str
    ours: Times
    peer: str
    theirs: Times
    reach: float
    playbook: Times


class MemoryRow(NamedTuple):
    """One line of the table of memory."""

    what: str
    found: Inside


def timed(action: Callable[..., object], *arguments: object) -> float:
    """Return the seconds that a call takes until its data is on the disk."""
    os.sync()
    began = time.perf_counter()
    action(*arguments)
    os.sync()
    return time.perf_counter() - began


class Place:
    """A store and a state of their own, for one repetition."""

    def __init__(self, engine: LabEngine, path: Path) -> None:
        """Begin with nothing in it."""
        self.path = path
        self._engine = engine
        self._runs = ModuleRun(engine.url, path)
        self._common = {"store": str(path / "store"), "host": "bench"}

    def inside(self, module: str, *, changed: bool = True, **options: Any) -> Inside:
        """Run a module's job in a fresh process without Ansible's start-up."""
        os.sync()
        asked = {"docker_host": self._engine.url, **self._common, **options}
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.inside", module],
            input=json.dumps(asked),
            cwd=ROOT,
            env={**os.environ, "STEWARD_STATE_DIR": str(self._runs.state)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BenchError(f"{module} failed: {done.stdout[-500:]}{done.stderr[-2000:]}")
        found = Inside(**json.loads(done.stdout.splitlines()[-1]))
        if found.changed != changed:
            raise BenchError(f"{module} reported changed={found.changed}: this is not what was to be measured.")
        return found

    def playbook(self, module: str, *, changed: bool = True, **options: Any) -> float:
        """Return the seconds of a whole ansible-playbook with this module as its one task."""
        results: list[dict[str, Any]] = []
        seconds = timed(lambda: results.append(self._runs(module, {**self._common, **options})))
        found = results[0]
        if found.get("failed") or found["changed"] != changed:
            raise BenchError(f"{module} in a playbook went wrong: {found.get('msg') or found}")
        return seconds


class Bench:
    """The engine, the trees in its volumes, and what was measured."""

    def __init__(self, engine: LabEngine, scratch: Path, repeat: int, files: int, many: int) -> None:
        """Take the engine, a place for scratch, and the numbers of repetitions and files."""
        self.engine = engine
        self.scratch = scratch
        self.repeat = repeat
        self.files = files
        self.many = many
        self.times: list[TimeRow] = []
        self.memory: list[MemoryRow] = []
        self._numbers = itertools.count()
        self._makers = {"small": self._small, "large": data.large_file, "tiny": self._tiny}

    def _small(self, root: Path) -> None:
        """Fill the volume of small files."""
        data.small_files(root, self.files)

    def _tiny(self, root: Path) -> None:
        """Fill the volume of so many files that memory tells."""
        data.tiny_files(root, self.many)

    def tree(self, volume: str) -> Path:
        """Return a volume's directory, filled and in the page cache; it is made at its first use."""
        root = self.engine.data_root / "volumes" / volume / "_data"
        if not root.exists():
            client = self.engine.client()
            client.volumes.create(volume)
            client.close()
            self._makers[volume](root)
            os.sync()
            self.settle()
        return root

    @staticmethod
    def settle() -> None:
        """Wait until what was just written counts as settled."""
        time.sleep(_SETTLED_SECONDS)

    def place(self) -> _Fresh:
        """Return a context in which there is a fresh place."""
        return _Fresh(self)

    def alter(self, volume: str) -> None:
        """Change one file of a volume, so that a restore is needed."""
        first = next(path for path in sorted(self.tree(volume).rglob("*")) if path.is_file())
        with first.open("ab") as file:
            file.write(b"altered")

    def aside(self) -> Path:
        """Return a path that is free until the end of the run.

        Trees are not removed before: ext4 takes long to make files where it has just removed many.
        """
        directory = self.engine.data_root / "aside"
        directory.mkdir(exist_ok=True)
        return directory / f"{next(self._numbers)}"

    def drop_previous(self, volume: str) -> None:
        """Take the tree that a restore kept out of the way, so that the next one has none to remove."""
        for kept in self.tree(volume).parent.glob(".steward-previous-*"):
            kept.rename(self.aside())


class _Fresh:
    """A fresh place for the length of a block; its removal is not in any time."""

    def __init__(self, bench: Bench) -> None:
        """Take whose place it is."""
        self._bench = bench
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Place:
        """Make the place."""
        self._directory = tempfile.TemporaryDirectory(dir=self._bench.scratch)
        return Place(self._bench.engine, Path(self._directory.name))

    def __exit__(self, *_error: object) -> None:
        """Remove it."""
        if self._directory is not None:
            self._directory.cleanup()
