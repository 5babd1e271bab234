# SPDX-License-Identifier: GPL-3.0-or-later
"""A signal in the middle of a restore: the data is the old or the new, and the service runs."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Keeper, Slate
    from docker.models.containers import Container


def _slowed(syscall: str, trace: Path) -> tuple[str, ...]:
    """Return the words that let a program wait three seconds at each of these system calls."""
    slow = f"inject={syscall}:delay_enter=3000000"
    return ("strace", "-f", "--seccomp-bpf", "-o", str(trace), "-e", f"trace={syscall}", "-e", slow)


def _kept(slate: Slate) -> list[str]:
    """Return the kinds of what lies beside the data."""
    return sorted(path.name.split("-")[1] for path in slate.path("data").parent.iterdir() if path.name != "_data")


def _staged(slate: Slate) -> bool:
    return any((path / "tree/page").exists() for path in slate.path("data").parent.glob(".steward-staging-*"))


@pytest.fixture
def app(slate: Slate, keeper: Keeper) -> Container:
    """Return a service whose data is newer than its backup."""
    slate.volume("data")
    (slate.path("data") / "page").write_text("old")
    service = slate.service(name="app", volumes=["data:/data"])
    keeper.backup("data")
    (slate.path("data") / "page").write_text("new")
    return service


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_before_the_swap_nothing_has_happened(number: int, app: Container, keeper: Keeper, slate: Slate) -> None:
    before = slate.state(app)
    trace = keeper.modules.scratch / "trace"
    asked = {**keeper.common, "volume": "data"}
    process, result = keeper.modules.start("volume_restore", asked, wrapper=_slowed("syncfs", trace))
    deadline = time.monotonic() + 60
    while not _staged(slate):
        assert time.monotonic() < deadline, "nothing was staged"
        time.sleep(0.02)
    os.kill(keeper.modules.pid("volume_restore"), number)
    found = keeper.modules.finish(process, result)
    assert found["failed"] and "Ended by" in found["msg"], found
    assert (slate.path("data") / "page").read_text() == "new"
    assert slate.state(app) == before
    assert _kept(slate) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_in_the_swap_the_service_comes_back_on_whole_data(
    number: int, app: Container, keeper: Keeper, slate: Slate
) -> None:
    trace = keeper.modules.scratch / "trace"
    asked = {**keeper.common, "volume": "data"}
    process, result = keeper.modules.start("volume_restore", asked, wrapper=_slowed("renameat2", trace))
    slate.wait_for(app, "exited")
    os.kill(keeper.modules.pid("volume_restore"), number)
    found = keeper.modules.finish(process, result)
    assert found["failed"] and "Ended by" in found["msg"], found
    slate.wait_for(app, "running")
    page = (slate.path("data") / "page").read_text()
    assert app.exec_run(["cat", "/data/page"]).output.decode() == page
    # What was replaced is kept, and can be taken back.
    assert (page, _kept(slate)) in (("old", ["previous"]), ("new", []))
    if page == "old":
        keeper.restore("data", undo=True)
        assert (slate.path("data") / "page").read_text() == "new"
    assert keeper.restore("data")["changed"]
    assert (slate.path("data") / "page").read_text() == "old"
