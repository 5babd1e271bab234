# SPDX-License-Identifier: GPL-3.0-or-later
"""The peers: tar with zstd, and restic."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests.benchmarks.bench import BenchError

if TYPE_CHECKING:
    from pathlib import Path

TAR_ZSTD = "tar, zstd"
RESTIC = "restic"


def _pipe(first: list[str], second: list[str], output: Path | None = None) -> None:
    """Run `first | second`, into a file if one is given; leave neither running in any outcome."""
    sink = output.open("wb") if output else None
    children: list[subprocess.Popen[bytes]] = []
    try:
        children.append(subprocess.Popen(first, stdout=subprocess.PIPE))
        pipe = children[0].stdout
        assert pipe is not None
        children.append(subprocess.Popen(second, stdin=pipe, stdout=sink))
        # Only the second may have it, so that the first hears of its end.
        pipe.close()
        for child in reversed(children):
            if child.wait() != 0:
                raise BenchError(f"{child.args!r} failed with {child.returncode}")
    finally:
        for child in children:
            child.kill()
            child.wait()
        if sink:
            sink.close()


def tar_zstd(tree: Path, archive: Path) -> None:
    """Archive a tree."""
    _pipe(["tar", "--create", f"--directory={tree}", "."], ["zstd", "-q", "-T0", "-c"], archive)


def untar(archive: Path, directory: Path) -> None:
    """Extract an archive into a directory that is made for it."""
    directory.mkdir()
    _pipe(["zstd", "-q", "-d", "-c", str(archive)], ["tar", "--extract", f"--directory={directory}"])


class Restic:
    """A restic repository of its own."""

    def __init__(self, directory: Path) -> None:
        """Make the repository."""
        self._environment = {
            **os.environ,
            "RESTIC_REPOSITORY": str(directory / "restic"),
            "RESTIC_PASSWORD": "bench",
            "RESTIC_CACHE_DIR": str(directory / "restic-cache"),
        }
        self._run("init")

    def _run(self, *words: str) -> None:
        """Run restic."""
        command = ["restic", "--quiet", *words]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"restic {words[0]} failed: {done.stderr.strip()}")

    def backup(self, tree: Path) -> None:
        """Back up a tree."""
        self._run("backup", str(tree))
