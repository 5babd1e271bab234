# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers are held still while they are read, and put back in every outcome."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from lab.loopfs import loop_file_system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Keeper, Slate
    from docker.models.containers import Container

# Compressing this takes long enough to act in the middle of it.
SLOW = {"compression_level": 19}


def _big(root: Path) -> None:
    (root / "big").write_bytes(os.urandom(60 << 20))


@pytest.fixture
def app(slate: Slate) -> Container:
    """Return a service that writes to the volume data."""
    slate.volume("data")
    (slate.path("data") / "page").write_text("one")
    return slate.service(name="app", volumes=["data:/data"])


@pytest.mark.parametrize(
    ("quiesce", "acts"), [("pause", ["pause", "unpause"]), ("stop", ["stop", "start"]), ("none", [])]
)
def test_a_writer_is_held_as_asked(quiesce: str, acts: list[str], app: Container, keeper: Keeper, slate: Slate) -> None:
    slate.service(name="reader", volumes=["data:/data:ro"])
    slate.service(name="stranger")
    since = slate.now()
    row = keeper.backup("data", quiesce=quiesce)["backups"][0]
    assert slate.events(since) == [("app", act) for act in acts]
    assert slate.state(app)[0] == "running"
    assert [(held["container"], held["action"]) for held in row["quiesced"]] == [("app", quiesce)] * bool(acts)


def test_what_did_not_run_before_does_not_run_afterwards(app: Container, keeper: Keeper, slate: Slate) -> None:
    stopped = slate.service(name="stopped", volumes=["data:/data"])
    stopped.stop()
    paused = slate.service(name="paused", volumes=["data:/data"])
    paused.pause()
    since = slate.now()
    keeper.backup("data", quiesce="stop")
    assert {name for name, _act in slate.events(since)} == {"app"}
    assert (slate.state(stopped)[0], slate.state(paused)[0]) == ("exited", "paused")


def test_dependants_are_stopped_first_and_started_last(app: Container, keeper: Keeper, slate: Slate) -> None:
    labels = {"com.docker.compose.project": "shop"}
    for name, needs in (("web", "api"), ("api", "db"), ("db", "")):
        slate.service(
            name=name,
            volumes=["data:/data"],
            labels={
                **labels,
                "com.docker.compose.service": name,
                "com.docker.compose.depends_on": f"{needs}:service_started:false" if needs else "",
            },
        )
    app.remove(force=True)
    since = slate.now()
    keeper.backup("data", quiesce="stop")
    order = slate.events(since)
    assert order == [(name, "stop") for name in ("web", "api", "db")] + [
        (name, "start") for name in ("db", "api", "web")
    ]


def test_what_needs_a_stopped_container_is_stopped_with_it(app: Container, keeper: Keeper, slate: Slate) -> None:
    """Though it does not use the data: a container inside of another's network would be left with a dead one."""
    slate.service(name="inside", network_mode="container:app")
    slate.service(name="linked", links={"app": "backend"})
    slate.service(name="alone", links={"app": "backend"}, labels={"steward.quiesce": "none"})
    since = slate.now()
    plan = keeper.backup("data", quiesce="stop")["plan"]
    assert slate.events(since) == [(name, "stop") for name in ("linked", "inside", "app")] + [
        (name, "start") for name in ("app", "inside", "linked")
    ]
    named = {action["name"]: action["reason"] for action in plan if action["kind"] == "container"}
    assert set(named) == {"app", "inside", "linked"} and "needs app" in named["inside"]
    # A restore does the same.
    (slate.path("data") / "page").write_text("two")
    since = slate.now()
    keeper.restore("data")
    assert [name for name, action in slate.events(since) if action == "start"] == ["app", "inside", "linked"]


@pytest.mark.parametrize(
    ("label", "acts"), [("stop", ["stop", "start"]), ("pause", ["pause", "unpause"]), ("none", [])]
)
@pytest.mark.parametrize("option", ["pause", "stop"])
def test_a_label_says_how_a_container_is_held(
    option: str, label: str, acts: list[str], app: Container, keeper: Keeper, slate: Slate
) -> None:
    app.remove(force=True)
    slate.service(name="app", volumes=["data:/data"], labels={"steward.quiesce": label})
    since = slate.now()
    keeper.backup("data", quiesce=option)
    assert slate.events(since) == [("app", act) for act in acts]


def test_a_label_that_says_nonsense_is_refused(app: Container, keeper: Keeper, slate: Slate, store: Path) -> None:
    slate.service(name="odd", volumes=["data:/data"], labels={"steward.quiesce": "freeze"})
    since = slate.now()
    assert "'freeze'" in keeper.no_backup(volumes=["data"])
    assert slate.events(since) == [] and not list(store.glob("here/volumes/data/*"))


# Healthy once somebody has written the file, or never.
_HEALTH = {"test": ["CMD", "test", "-e", "/data/healthy"], "interval": 10**8, "retries": 1000, "timeout": 10**9}


def test_health_is_awaited_before_what_needs_it_is_started(app: Container, keeper: Keeper, slate: Slate) -> None:
    app.remove(force=True)
    (slate.path("data") / "healthy").write_text("")
    db = slate.service(name="db", volumes=["data:/data"], healthcheck={**_HEALTH, "start_period": 10**10})
    web = slate.service(name="web", network_mode="container:db")
    deadline = time.monotonic() + 60
    while slate.state(db)[0] and db.attrs["State"]["Health"]["Status"] != "healthy":
        assert time.monotonic() < deadline, db.attrs["State"]
        time.sleep(0.1)
    since = slate.now()
    keeper.backup("data", quiesce="stop")
    found = slate.client.api.events(since=since, until=slate.now(), filters={"type": "container"}, decode=True)
    steps = [
        (event["Actor"]["Attributes"]["name"], event["Action"])
        for event in found
        if event["Action"] == "start" or event["Action"].startswith("health_status")
    ]
    assert steps[:3] == [("db", "start"), ("db", "health_status: healthy"), ("web", "start")]
    assert slate.state(web)[0] == "running"


def test_what_does_not_become_healthy_fails_the_task_and_keeps_the_backup(
    app: Container, keeper: Keeper, slate: Slate, store: Path
) -> None:
    app.remove(force=True)
    sick = slate.service(name="sick", volumes=["data:/data"], healthcheck={**_HEALTH, "start_period": 10**12})
    message = keeper.no_backup(volumes=["data"], quiesce="stop", wait_healthy=1)
    assert "sick was started again and is starting after 1 s" in message
    assert slate.state(sick)[0] == "running" and list(store.glob("here/volumes/data/*.json"))


def test_a_container_that_somebody_lets_go_meanwhile_fails_the_backup(
    app: Container, keeper: Keeper, slate: Slate, store: Path
) -> None:
    """A healer restarts what a pause makes unhealthy: what was read then does not belong together."""
    _big(slate.path("data"))
    process, result = keeper.modules.start("volume_backup", {**keeper.common, "volumes": ["data"], **SLOW})
    slate.wait_for(app, "paused")
    app.restart()
    found = keeper.modules.finish(process, result)
    assert found["failed"] and "app was held by pause, and somebody else let it run" in found["msg"], found
    assert not list(store.glob("here/volumes/data/*")) and slate.state(app)[0] == "running"


def test_volumes_of_one_writer_are_one_group(app: Container, keeper: Keeper, slate: Slate) -> None:
    for name in ("left", "right", "apart"):
        slate.volume(name)
        (slate.path(name) / "file").write_text(name)
    slate.service(name="both", volumes=["left:/left", "right:/right"])
    slate.service(name="other", volumes=["apart:/apart"])
    since = slate.now()
    rows = {row["volume"]: row for row in keeper.backup("left", "right", "apart")["backups"]}
    assert sorted(slate.events(since)) == [
        ("both", "pause"),
        ("both", "unpause"),
        ("other", "pause"),
        ("other", "unpause"),
    ]
    info = keeper.modules.ok("backup_info", keeper.common)["backups"]
    groups = {row["volume"]: row["group"] for row in info}
    assert groups["left"] == groups["right"] != "" and groups["apart"] == ""
    assert set(rows) == {"left", "right", "apart"}
    # One member alone is another moment than the rest.
    (slate.path("left") / "file").write_text("changed")
    warnings = " ".join(keeper.restore("left")["warnings"])
    assert groups["left"] in warnings


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize(("quiesce", "held"), [("pause", "paused"), ("stop", "exited")])
def test_a_signal_puts_back_and_leaves_nothing(
    quiesce: str, held: str, number: signal.Signals, app: Container, keeper: Keeper, slate: Slate, store: Path
) -> None:
    first = keeper.backup("data")["backups"][0]
    _big(slate.path("data"))
    asked = {**keeper.common, "volumes": ["data"], "quiesce": quiesce, **SLOW}
    process, result = keeper.modules.start("volume_backup", asked)
    slate.wait_for(app, held)
    os.kill(keeper.modules.pid("volume_backup"), number)
    found = keeper.modules.finish(process, result)
    assert found["failed"] and number.name in found["msg"], found
    assert slate.state(app)[0] == "running"
    left = sorted(path.name for path in (store / "here/volumes/data").iterdir())
    assert [name.split(".")[0] for name in left] == [first["id"]] * 3


def test_a_pause_has_an_end_when_the_store_is_slow(app: Container, keeper: Keeper, slate: Slate, store: Path) -> None:
    _big(slate.path("data"))
    asked = {"volumes": ["data"], "quiesce_max": 1, **SLOW}
    since = slate.now()
    message = keeper.no_backup(**asked)
    assert "quiesce_max" in message and "data" in message
    assert slate.events(since) == [("app", "pause"), ("app", "unpause")]
    assert list((store / "here/volumes/data").iterdir()) == []


@pytest.fixture
def small_store(tmp_path: Path) -> Iterator[Path]:
    """Return a store on a file system of 30 MB."""
    with loop_file_system(tmp_path, 30) as point:
        yield point / "store"


@pytest.mark.parametrize("quiesce", ["pause", "stop"])
def test_a_full_store_fails_clearly_and_loses_nothing(
    quiesce: str, app: Container, keeper: Keeper, slate: Slate, small_store: Path
) -> None:
    keeper.common["store"] = str(small_store)
    first = keeper.backup("data")["backups"][0]
    _big(slate.path("data"))
    message = keeper.no_backup(volumes=["data"], quiesce=quiesce)
    assert "No space left" in message and str(small_store) in message
    assert slate.state(app)[0] == "running"
    found = keeper.modules.ok("backup_info", {**keeper.common, "verify": "full"})
    assert [(row["id"], row["status"]) for row in found["backups"]] == [(first["id"], "whole")]
    assert len(list((small_store / "here/volumes/data").iterdir())) == 3
    (slate.path("data") / "big").unlink()
    assert keeper.backup("data")["changed"] is False


def test_a_rm_container_is_paused_and_never_stopped(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    container = slate.service(name="short", volumes=["data:/data"], auto_remove=True)
    message = keeper.no_backup(volumes=["data"], quiesce="stop")
    assert "short" in message and "--rm" in message
    assert slate.state(container)[0] == "running"
    assert keeper.backup("data", quiesce="pause")["changed"]


def test_a_swarm_task_is_never_stopped(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    slate.client.swarm.init(advertise_addr="127.0.0.1", listen_addr="127.0.0.1:2377")
    try:
        slate.client.services.create("steward-lab/busybox:1", name="web", mounts=["data:/data:rw"])
        deadline = time.monotonic() + 60
        while not (tasks := slate.client.containers.list(filters={"label": "com.docker.swarm.task.id"})):
            assert time.monotonic() < deadline, "swarm started no task"
            time.sleep(0.2)
        message = keeper.no_backup(volumes=["data"], quiesce="stop")
        assert "swarm task" in message and tasks[0].name in message
        # A pause is nothing to swarm.
        assert keeper.backup("data", quiesce="pause")["changed"]
        (slate.path("data") / "page").write_text("another")
        assert "swarm task" in keeper.no_restore(volume="data")
        assert slate.client.containers.list(filters={"id": tasks[0].id})
    finally:
        slate.client.swarm.leave(force=True)


def test_a_writer_that_starts_in_between_is_noticed(app: Container, keeper: Keeper, slate: Slate) -> None:
    """Between the plan and the pause a container may start: nothing is read under it."""
    keeper.backup("data")
    (slate.path("data") / "page").write_text("two")
    late = slate.client.containers.create("steward-lab/busybox:1", name="late", volumes=["data:/data"])
    # The walk that decides begins with a syncfs: it is slowed down, and by then the containers were listed.
    trace = keeper.modules.scratch / "trace"
    slow = ("strace", "-f", "--seccomp-bpf", "-e", "trace=syncfs", "-o", str(trace))
    slow += ("-e", "inject=syncfs:delay_enter=5000000:when=1")
    locks = keeper.modules.state / "locks"
    before = max(path.stat().st_mtime_ns for path in locks.iterdir())
    asked = {**keeper.common, "volumes": ["data"]}
    process, result = keeper.modules.start("volume_backup", asked, wrapper=slow)
    deadline = time.monotonic() + 60
    while max(path.stat().st_mtime_ns for path in locks.iterdir()) == before:
        assert time.monotonic() < deadline, "the module never took its lock"
        time.sleep(0.02)
    time.sleep(1.5)
    late.start()
    found = keeper.modules.finish(process, result)
    assert "syncfs" in trace.read_text()
    assert found["failed"] and "late started to use" in found["msg"], found
    assert (slate.state(app)[0], slate.state(late)[0]) == ("running", "running")
    assert keeper.backup("data")["changed"]
