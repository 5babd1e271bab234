# SPDX-License-Identifier: GPL-3.0-or-later
"""A full disk under the volumes: a restore is refused, or fails, with the old data whole and the service running."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from conftest import Slate

from lab.engine import LabEngine
from lab.images import busybox
from lab.loopfs import loop_file_system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Keeper


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Slate]:
    """Return a slate on an engine of its own, whose data are on a file system of 250 MB."""
    with (
        loop_file_system(tmp_path, 250) as point,
        LabEngine("small", data_root=point / "docker", arguments=("--storage-driver=vfs",)) as engine,
    ):
        busybox(engine.client())
        slate = Slate(engine)
        yield slate
        slate.clear()


def _fill(slate: Slate, leave: int) -> Path:
    """Fill the engine's file system up to some bytes; return the file that does it."""
    ballast = slate.engine.data_root / "ballast"
    status = os.statvfs(slate.engine.data_root)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - leave)
    return ballast


@pytest.mark.parametrize("told_beforehand", [True, False], ids=["known size", "unknown size"])
def test_a_restore_on_a_full_disk_leaves_all_as_it_was(
    told_beforehand: bool, small: Slate, keeper: Keeper, tmp_path: Path
) -> None:
    keeper.modules.url = small.engine.url
    small.volume("data")
    root = small.path("data")
    (root / "big").write_bytes(os.urandom(40 << 20))
    keeper.backup("data")
    # An archive made elsewhere does not say how much space it needs.
    foreign = tmp_path / "foreign.tar"
    subprocess.run(["tar", "-C", root, "-cf", foreign, "."], check=True)
    (root / "big").write_text("small, and newer")
    app = small.service(name="app", volumes=["data:/data"])
    before = small.state(app)
    ballast = _fill(small, 20 << 20)
    message = keeper.no_restore(volume="data", **({} if told_beforehand else {"backup": str(foreign)}))
    assert "Free some space" in message
    assert ("needs about" if told_beforehand else "No space left") in message
    assert (root / "big").read_text() == "small, and newer"
    assert small.state(app) == before
    assert [path.name for path in root.parent.iterdir()] == ["_data"]
    # With the space it needs, the same restore works.
    ballast.unlink()
    keeper.restore("data", **({} if told_beforehand else {"backup": str(foreign)}))
    assert (root / "big").stat().st_size == 40 << 20
    assert small.state(app)[0] == "running"
