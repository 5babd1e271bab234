# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in containers before and after their data is read."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Keeper, Slate

BEFORE = ["sh", "-c", "echo before >> /data/log"]
AFTER = ["sh", "-c", "echo after >> /data/log"]


@pytest.fixture
def log(slate: Slate) -> Path:
    """Return the file that the commands of the service app write to."""
    slate.volume("data")
    return slate.path("data") / "log"


def _labelled(slate: Slate, before: str, after: str) -> None:
    labels = {"steward.backup.before": before, "steward.backup.after": after}
    slate.service(name="app", volumes=["data:/data"], labels=labels)


@pytest.mark.parametrize("quiesce", ["pause", "stop", "none"])
def test_by_label(quiesce: str, log: Path, keeper: Keeper, slate: Slate) -> None:
    _labelled(slate, "sh -c 'echo before >> /data/log'", "sh -c 'echo after >> /data/log'")
    plan = keeper.backup("data", quiesce=quiesce, check=True)["plan"]
    assert [action["action"] for action in plan if action["kind"] == "container"][:2] == ["run a command"] * 2
    assert not log.exists()
    keeper.backup("data", quiesce=quiesce)
    assert log.read_text() == "before\nafter\n"
    keeper.restore("data", to="copy")
    # It was read between the two.
    assert (slate.path("copy") / "log").read_text() == "before\n"


def test_by_option_which_goes_first(log: Path, keeper: Keeper, slate: Slate) -> None:
    _labelled(slate, "false", "false")
    keeper.backup("data", before={"app": BEFORE}, after={"app": AFTER})
    assert log.read_text() == "before\nafter\n"


def test_not_for_what_is_unchanged(log: Path, keeper: Keeper, slate: Slate) -> None:
    slate.service(name="app", volumes=["data:/data"])
    keeper.backup("data")
    assert keeper.backup("data", before={"app": BEFORE})["changed"] is False
    assert not log.exists()


def test_a_failure_before_fails_those_volumes_only(log: Path, keeper: Keeper, slate: Slate, store: Path) -> None:
    slate.volume("other")
    slate.service(name="neighbour", volumes=["other:/data"])
    slate.service(name="app", volumes=["data:/data"])
    since = slate.now()
    asked = {**keeper.common, "volumes": ["data", "other"], "after": {"app": AFTER}}
    found = keeper.modules("volume_backup", {**asked, "before": {"app": "sh -c 'echo it hurts >&2; exit 3'"}})
    assert found["failed"]
    for words in ("the volume data", "the container app", "ended with 3", "it hurts"):
        assert words in found["msg"], found["msg"]
    assert [row["failed"] for row in found["backups"]] == [True, False]
    assert not list(store.glob("here/volumes/data/*")) and list(store.glob("here/volumes/other/*.json"))
    assert {name for name, _action in slate.events(since)} == {"neighbour"}
    # What comes after is run all the same.
    assert log.read_text() == "after\n"


def test_a_failure_after_fails_the_task_and_keeps_the_backup(
    log: Path, keeper: Keeper, slate: Slate, store: Path
) -> None:
    app = slate.service(name="app", volumes=["data:/data"])
    message = keeper.no_backup(volumes=["data"], after={"app": "false"})
    assert "false in the container app ended with 1" in message
    assert list(store.glob("here/volumes/data/*.json")) and slate.state(app)[0] == "running"


_WRONG = {
    "no such container": ({"gone": "true"}, "There is no container gone"),
    "one that uses nothing of it": ({"stranger": "true"}, "stranger, which uses nothing that is selected"),
    "no command": ({"app": ""}, "The option before for the container app is empty"),
    "half a quote": ({"app": "echo 'x"}, "cannot be split into words"),
    "a program that is not there": ({"app": "steward-no-such-program"}, "app ended with 12"),
}


@pytest.mark.parametrize(("before", "words"), _WRONG.values(), ids=_WRONG.keys())
def test_a_wrong_command_is_named(
    before: dict[str, str], words: str, log: Path, keeper: Keeper, slate: Slate, store: Path
) -> None:
    slate.service(name="app", volumes=["data:/data"])
    slate.service(name="stranger")
    assert words in keeper.no_backup(volumes=["data"], before=before)
    assert not list(store.glob("here/volumes/data/*"))


def test_what_comes_after_is_run_though_the_run_was_killed(log: Path, keeper: Keeper, slate: Slate) -> None:
    (slate.path("data") / "big").write_bytes(os.urandom(60 << 20))
    app = slate.service(name="app", volumes=["data:/data"])
    # Compressing this takes long enough to act in the middle of it.
    asked = {**keeper.common, "volumes": ["data"], "after": {"app": AFTER}, "compression_level": 19}
    process, _result = keeper.modules.start("volume_backup", asked)
    slate.wait_for(app, "paused")
    os.kill(keeper.modules.pid("volume_backup"), signal.SIGKILL)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while not log.exists():
        assert time.monotonic() < deadline, "the watchdog did not run it"
        time.sleep(0.05)
    assert log.read_text() == "after\n" and slate.state(app)[0] == "running"
