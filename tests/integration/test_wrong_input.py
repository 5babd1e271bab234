# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong input: each message names the thing and the remedy, and nothing has happened."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Keeper, Slate

    from lab.engine import LabEngine

# Root without the capabilities by which it may read what is not its own.
ORDINARY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")


@pytest.fixture
def backed_up(slate: Slate, keeper: Keeper) -> dict[str, Any]:
    """Return the row of a backup of the volume data, of which there is one container."""
    slate.volume("data")
    (slate.path("data") / "page").write_text("one")
    slate.service(name="app", volumes=["data:/data"])
    row: dict[str, Any] = keeper.backup("data")["backups"][0]
    return row


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"volumes": ["dta"]}, ["no volume dta", "data"]),
        ({"containers": ["ap"]}, ["no container ap", "app"]),
        ({}, ["Nothing is selected", "volumes"]),
        ({"volumes": ["data"], "refresh_after": "soon"}, ["refresh_after", "26h or 2d"]),
        ({"volumes": ["data"], "quiesce": "freeze"}, ["quiesce", "pause", "stop", "none"]),
        ({"volumes": ["data"], "compression": "lzma"}, ["compression", "zstd"]),
        ({"volumes": ["data"], "compression_level": 22}, ["compression_level", "from 1 to 19"]),
        ({"volumes": ["data"], "keep": {"last": -1}}, ["keep", "below zero", "last"]),
        ({"volumes": ["data"], "keep": {"fortnightly": 2}}, ["fortnightly", "weekly"]),
    ],
    ids=["volume", "container", "nothing", "refresh_after", "quiesce", "compression", "level", "below zero", "keep"],
)
def test_a_backup_that_makes_no_sense(
    options: dict[str, Any], says: list[str], backed_up: dict[str, Any], keeper: Keeper
) -> None:
    message = keeper.no_backup(**options)
    assert [word for word in says if word not in message] == [], message


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"volume": "dta"}, ["no whole backup", "dta", "here"]),
        ({"volume": "data", "backup": "20200101T000000Z"}, ["20200101T000000Z", "There are: "]),
        ({"volume": "data", "backup": "/nowhere.tar"}, ["/nowhere.tar", "no such file"]),
        ({"volume": "data", "host": "elsewhere"}, ["elsewhere", "here: set host"]),
        ({"volume": "data", "at": "2020-01-01"}, ["2020-01-01", "There are: "]),
        ({"volume": "data", "at": "yesterday"}, ["yesterday", "2026-11-23T15:16:00Z"]),
        ({"volume": "data", "at": "2020-01-01", "backup": "latest"}, ["mutually exclusive", "at", "backup"]),
        ({"volume": "data", "path": "/srv"}, ["mutually exclusive", "volume", "path"]),
        ({}, ["volume", "path"]),
        ({"volume": "data", "undo": True, "backup": "latest"}, ["undo", "backup"]),
        ({"volume": "data", "to": "data"}, ["same directory"]),
        ({"volume": "data", "subdir": "a"}, ["subdir", "path of one"]),
        ({"volume": "data", "to": "not a name"}, ["not a name"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_restore_that_makes_no_sense(
    options: dict[str, Any], says: list[str], backed_up: dict[str, Any], keeper: Keeper, slate: Slate
) -> None:
    (slate.path("data") / "page").write_text("two")
    since = slate.now()
    message = keeper.no_restore(**options)
    assert [word for word in says if word not in message] == [], message
    assert slate.events(since) == []
    assert (slate.path("data") / "page").read_text() == "two"


@pytest.mark.parametrize("module", ["volume_backup", "volume_restore", "backup_info"])
def test_a_store_that_is_a_file(module: str, keeper: Keeper, slate: Slate, tmp_path: Path) -> None:
    slate.volume("data")
    (tmp_path / "file").write_text("")
    which = {"volume_backup": {"volumes": ["data"]}, "volume_restore": {"volume": "data"}, "backup_info": {}}[module]
    message = keeper.modules.refused(module, {"store": str(tmp_path / "file"), "host": "here", **which})
    assert f"{tmp_path / 'file'} is a file" in message


@pytest.mark.parametrize("module", ["volume_backup", "volume_restore", "backup_info"])
def test_a_store_that_may_not_be_read(
    module: str, backed_up: dict[str, Any], keeper: Keeper, slate: Slate, store: Path
) -> None:
    os.chown(store, 65534, 65534)
    which = {"volume_backup": {"volumes": ["data"]}, "volume_restore": {"volume": "data"}, "backup_info": {}}[module]
    message = keeper.modules.refused(module, {**keeper.common, **which}, wrapper=ORDINARY)
    assert str(store) in message and "become: true" in message


@pytest.mark.parametrize("module", ["volume_backup", "volume_restore"])
def test_no_engine(module: str, keeper: Keeper) -> None:
    which = {"volume_backup": {"volumes": ["data"]}, "volume_restore": {"volume": "data"}}[module]
    for url, says in (
        ("unix:///nowhere/docker.sock", "no such socket: start the engine, or set docker_host"),
        ("tcp://127.0.0.1:1", "Check that it runs and that docker_host and the TLS options are right"),
        ("nonsense", "docker_host"),
    ):
        message = keeper.modules.refused(module, {**keeper.common, "docker_host": url, **which})
        assert says in message and url in message


def test_no_permission_on_the_socket(lab: LabEngine, keeper: Keeper) -> None:
    before = lab.socket.stat()
    os.chown(lab.socket, 65534, 65534)
    lab.socket.chmod(0o600)
    try:
        message = keeper.modules.refused("volume_backup", {**keeper.common, "all": True}, wrapper=ORDINARY)
    finally:
        os.chown(lab.socket, before.st_uid, before.st_gid)
        lab.socket.chmod(before.st_mode & 0o777)
    assert lab.url in message and "may not use the socket" in message and "become: true" in message


def test_one_that_cannot_be_backed_up_does_not_stop_the_others(keeper: Keeper, slate: Slate, store: Path) -> None:
    slate.volume("good")
    (slate.path("good") / "page").write_text("one")
    slate.volume("bad")
    keeper.common["store"] = str(slate.path("bad") / "store")
    found = keeper.modules("volume_backup", {**keeper.common, "volumes": ["bad", "good"]})
    assert found["failed"] and "inside the volume bad" in found["msg"] and "1 of 2" in found["msg"]
    rows = {row["volume"]: row for row in found["backups"]}
    assert rows["bad"]["failed"] and rows["good"]["changed"]
    assert (slate.path("bad") / "store/here/volumes/good" / f"{rows['good']['id']}.json").exists()
