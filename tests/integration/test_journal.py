# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run that is killed leaves is ended by its watchdog at once, or by the next run."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Keeper, Slate
    from docker.models.containers import Container

# Compressing this takes long enough to act in the middle of it.
SLOW = {"compression_level": 19}
_HELD = [("pause", "paused"), ("stop", "exited")]


@pytest.fixture
def app(slate: Slate) -> Container:
    """Return a service that writes to the volume data, which takes long to back up."""
    slate.volume("data")
    (slate.path("data") / "page").write_text("one")
    (slate.path("data") / "big").write_bytes(os.urandom(60 << 20))
    return slate.service(name="app", volumes=["data:/data"])


def _wait(what: Callable[[], bool], words: str) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline, words
        time.sleep(0.05)


def _watchdogs(keeper: Keeper) -> list[int]:
    """Return the watchdogs of this test's runs."""
    mark = f"STEWARD_STATE_DIR={keeper.modules.state}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text() == "steward-watch\n" and mark in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def _kill(keeper: Keeper, *, watchdog: bool) -> None:
    """Kill the backup that runs, with its watchdog or without."""
    for pid in _watchdogs(keeper) if watchdog else []:
        os.kill(pid, signal.SIGKILL)
    os.kill(keeper.modules.pid("volume_backup"), signal.SIGKILL)


def _killed_backup(
    keeper: Keeper, slate: Slate, app: Container, quiesce: str = "stop", *, watchdog: bool = True
) -> None:
    """Begin a backup and kill it, as a rule with its watchdog, while it holds the container."""
    asked = {**keeper.common, "volumes": ["data"], "quiesce": quiesce, **SLOW}
    process, result = keeper.modules.start("volume_backup", asked)
    slate.wait_for(app, dict(_HELD)[quiesce])
    home = Path(keeper.common["store"]) / "here/volumes/data"
    # A stop is seen by the engine before the module sees it end.
    _wait(lambda: home.is_dir() and any(home.iterdir()), "nothing is archived")
    _kill(keeper, watchdog=watchdog)
    process.communicate(timeout=60)
    assert not result.exists() or json.loads(result.read_text()).get("failed")


def _journals(keeper: Keeper) -> list[str]:
    place = keeper.modules.state / "journal"
    return sorted(path.suffix for path in place.iterdir()) if place.is_dir() else []


@pytest.mark.parametrize(("quiesce", "held"), _HELD)
def test_the_watchdog_of_a_killed_run_puts_back_at_once(
    quiesce: str, held: str, app: Container, keeper: Keeper, slate: Slate, store: Path
) -> None:
    _killed_backup(keeper, slate, app, quiesce, watchdog=False)
    slate.wait_for(app, "running")
    _wait(lambda: not _watchdogs(keeper), "the watchdog does not end")
    assert list((store / "here/volumes/data").iterdir()) == []
    # The next run tells what happened, once.
    found = keeper.backup("data")
    told = " ".join(found["warnings"])
    assert "was killed" in told and "container app" in told, told
    assert found["changed"] and "was killed" not in " ".join(keeper.backup("data").get("warnings", []))
    assert _journals(keeper) == []


@pytest.mark.parametrize(("quiesce", "held"), _HELD)
def test_the_next_run_puts_back_when_the_watchdog_was_killed_too(
    quiesce: str, held: str, app: Container, keeper: Keeper, slate: Slate, store: Path
) -> None:
    _killed_backup(keeper, slate, app, quiesce)
    assert slate.state(app)[0] == held
    action = "unpause" if quiesce == "pause" else "start"
    # Check mode only says so.
    plan = keeper.backup("data", check=True)["plan"]
    assert (plan[0]["id"], plan[0]["action"]) == (app.id, action) and "was killed" in plan[0]["reason"]
    assert slate.state(app)[0] == held and _journals(keeper) == [".journal"]
    plan = keeper.backup("data")["plan"]
    assert (plan[0]["id"], plan[0]["action"]) == (app.id, action)
    assert slate.state(app)[0] == "running"
    assert len(list((store / "here/volumes/data").iterdir())) == 3
    assert _journals(keeper) == []
    assert keeper.backup("data")["changed"] is False


def test_a_restore_of_something_else_puts_back_too(app: Container, keeper: Keeper, slate: Slate, store: Path) -> None:
    slate.volume("other")
    (slate.path("other") / "page").write_text("other")
    keeper.backup("other")
    _killed_backup(keeper, slate, app)
    result = keeper.restore("other")
    assert result["changed"] and result["restored"] == {}
    assert slate.state(app)[0] == "running"
    # What the killed run had begun to write is gone.
    assert list((store / "here/volumes/data").iterdir()) == []


def test_what_an_operator_did_since_is_respected(app: Container, keeper: Keeper, slate: Slate) -> None:
    _killed_backup(keeper, slate, app)
    app.start()
    app.stop()
    before = slate.state(app)
    warnings = " ".join(keeper.backup("data")["warnings"])
    assert "app" in warnings and "started and ended again since" in warnings
    assert slate.state(app) == before
    assert _journals(keeper) == []


def test_a_container_that_an_operator_let_go_is_left_alone(app: Container, keeper: Keeper, slate: Slate) -> None:
    _killed_backup(keeper, slate, app, "pause")
    app.unpause()
    before = slate.state(app)
    since = slate.now()
    keeper.backup("data", quiesce="none")
    assert slate.state(app) == before and slate.events(since) == []


def test_a_container_that_was_removed_since_is_named(app: Container, keeper: Keeper, slate: Slate) -> None:
    _killed_backup(keeper, slate, app)
    app.remove()
    assert "app" in " ".join(keeper.backup("data")["warnings"])
    assert _journals(keeper) == []


def test_the_journal_of_a_living_run_is_not_replayed(app: Container, keeper: Keeper, slate: Slate) -> None:
    slate.volume("other")
    asked = {**keeper.common, "volumes": ["data"], "quiesce": "stop", **SLOW}
    process, result = keeper.modules.start("volume_backup", asked)
    slate.wait_for(app, "exited")
    found = keeper.backup("other")
    assert [action["action"] for action in found["plan"]] == ["back up"] and not found.get("warnings")
    assert slate.state(app)[0] == "exited"
    assert keeper.modules.finish(process, result)["changed"]
    assert slate.state(app)[0] == "running"


def test_another_engine_s_journal_is_left_alone(app: Container, keeper: Keeper, slate: Slate) -> None:
    _killed_backup(keeper, slate, app)
    (path,) = (keeper.modules.state / "journal").iterdir()
    lines = path.read_text().splitlines(keepends=True)
    header = json.loads(lines[0])
    path.write_text("".join([json.dumps({**header, "engine": "another"}) + "\n", *lines[1:]]))
    keeper.backup("data")
    assert slate.state(app)[0] == "exited" and path.exists()


def test_a_damaged_journal_is_set_aside_and_named(app: Container, keeper: Keeper, slate: Slate) -> None:
    place = keeper.modules.state / "journal"
    place.mkdir(parents=True)
    (place / "broken.journal").write_text("{not json\n")
    found = keeper.backup("data")
    assert "broken.journal" in " ".join(found["warnings"])
    assert _journals(keeper) == [".damaged"]
    assert slate.state(app)[0] == "running"


def test_a_container_that_cannot_be_put_back_is_tried_again_by_the_next_run(
    app: Container, keeper: Keeper, slate: Slate, tmp_path: Path
) -> None:
    needed = tmp_path / "needed"
    needed.mkdir()
    app.remove(force=True)
    app = slate.service(name="app", volumes=["data:/data", f"{needed}:/needed:ro"])
    asked = {**keeper.common, "volumes": ["data"], "quiesce": "stop", **SLOW}
    process, result = keeper.modules.start("volume_backup", asked)
    slate.wait_for(app, "exited")
    # A container does not start without a mount that it had (the engine makes no missing directory below a file).
    needed.rmdir()
    tmp_path.joinpath("needed").symlink_to("/proc/nothing/there")
    found = keeper.modules.finish(process, result)
    assert found["failed"] and "app could not be put back" in found["msg"], found
    # Its watchdog goes on trying, which is not what is looked at here.
    for pid in _watchdogs(keeper):
        os.kill(pid, signal.SIGKILL)
    assert _journals(keeper) == [".journal"]
    needed.unlink()
    needed.mkdir()
    plan = keeper.backup("data")["plan"]
    assert (plan[0]["name"], plan[0]["action"]) == ("app", "start")
    assert slate.state(app)[0] == "running" and _journals(keeper) == []


def test_two_runs_never_hold_the_same_container_at_once(app: Container, keeper: Keeper, slate: Slate) -> None:
    """Else one of them would let it run while the other one reads."""
    slate.volume("second")
    app.remove(force=True)
    app = slate.service(name="app", volumes=["data:/data", "second:/second"])
    first = keeper.modules.start("volume_backup", {**keeper.common, "volumes": ["data"], **SLOW})
    slate.wait_for(app, "paused")
    message = keeper.no_backup(volumes=["second"], lock_timeout=0)
    assert "Another run works on the container app" in message
    since = slate.now()
    waiting = keeper.modules.start("volume_backup", {**keeper.common, "volumes": ["second"]})
    for run in (first, waiting):
        assert keeper.modules.finish(*run)["changed"]
    assert slate.events(since) == [("app", "unpause"), ("app", "pause"), ("app", "unpause")]


def test_a_volume_made_for_a_killed_restore_does_not_pass_for_a_restored_one(
    keeper: Keeper, slate: Slate, store: Path
) -> None:
    volume = slate.volume("data", labels={"kept": "yes"})
    (slate.path("data") / "big").write_bytes(os.urandom(60 << 20))
    keeper.backup("data")
    volume.remove()
    asked: dict[str, Any] = {**keeper.common, "volume": "data", "only_if": "missing"}
    # The first exchange or rename into place is where it dies; extracting is slowed down by what it reads.
    trace = ("strace", "-f", "--seccomp-bpf", "-e", "trace=syncfs", "-o", str(keeper.modules.scratch / "trace"))
    trace += ("-e", "inject=syncfs:delay_enter=20000000")
    process, _result = keeper.modules.start("volume_restore", asked, wrapper=trace)
    _wait(lambda: bool(slate.client.volumes.list(filters={"name": "data"})), "the volume is not made")
    _wait(lambda: bool(_watchdogs(keeper)), "there is no watchdog")
    _wait(lambda: "syncfs" in (keeper.modules.scratch / "trace").read_text(), "nothing is synced")
    for pid in [*_watchdogs(keeper), keeper.modules.pid("volume_restore")]:
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=60)
    plan = keeper.restore("data", only_if="missing")["plan"]
    assert [action["action"] for action in plan if action["kind"] == "volume"] == [
        "remove, as it was never filled",
        "create",
        "restore",
    ]
    assert (slate.path("data") / "big").stat().st_size == 60 << 20
    assert slate.client.volumes.get("data").attrs["Labels"]["kept"] == "yes"
    assert [path.name for path in slate.path("data").parent.iterdir()] == ["_data"]
