# SPDX-License-Identifier: GPL-3.0-or-later
"""By the host's path where that is the data, else through the engine, which says what it loses."""

from __future__ import annotations

import mmap
import os
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from lab.volume_plugin import volume_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Keeper, Slate

    from lab.engine import LabEngine


def _manifest(keeper: Keeper, volume: str) -> dict[str, Any]:
    rows = keeper.modules.ok("backup_info", {**keeper.common, "volumes": [volume], "verify": "full"})["backups"]
    found: dict[str, Any] = rows[0]
    assert found["status"] == "whole", found
    return found


def _bind_volume(slate: Slate, name: str, device: Path) -> None:
    device.mkdir(exist_ok=True)
    slate.volume(name, driver_opts={"type": "none", "o": "bind", "device": str(device)})


def test_an_unmounted_option_volume_is_not_archived_as_empty(keeper: Keeper, slate: Slate, tmp_path: Path) -> None:
    _bind_volume(slate, "bound", tmp_path / "there")
    (tmp_path / "there/page").write_text("one")
    assert list(slate.path("bound").iterdir()) == []
    row = keeper.backup("bound")["backups"][0]
    found = _manifest(keeper, "bound")
    assert (found["road"], found["files"]) == ("engine", 1)
    assert "access control lists" in found["lost"]
    assert "nothing mounts it" in " ".join(row["warnings"])
    assert keeper.backup("bound")["changed"] is False
    (tmp_path / "there/page").write_text("two")
    assert keeper.backup("bound")["changed"]
    keeper.restore("bound", to="copy")
    assert (slate.path("copy") / "page").read_text() == "two"


def test_a_mounted_option_volume_is_read_on_the_host(keeper: Keeper, slate: Slate, tmp_path: Path) -> None:
    _bind_volume(slate, "bound", tmp_path / "there")
    (tmp_path / "there/page").write_text("one")
    slate.service(name="app", volumes=["bound:/data"])
    keeper.backup("bound")
    assert _manifest(keeper, "bound")["road"] == "path"


def test_stopping_its_writer_does_not_empty_an_option_volume(keeper: Keeper, slate: Slate, tmp_path: Path) -> None:
    """Its mount goes away with its last container: the mountpoint is an empty directory then."""
    _bind_volume(slate, "bound", tmp_path / "there")
    (tmp_path / "there/page").write_text("one")
    app = slate.service(name="app", volumes=["bound:/data"])
    keeper.backup("bound", quiesce="stop")
    found = _manifest(keeper, "bound")
    assert (found["road"], found["files"]) == ("engine", 1)
    assert slate.state(app)[0] == "running"


def test_a_tmpfs_volume_is_read_while_it_is_there(keeper: Keeper, slate: Slate) -> None:
    slate.volume("ram", driver_opts={"type": "tmpfs", "device": "tmpfs"})
    app = slate.service(name="app", volumes=["ram:/data"])
    app.exec_run(["sh", "-c", "echo one > /data/page"])
    keeper.backup("ram")
    keeper.restore("ram", to="copy")
    assert (slate.path("copy") / "page").read_text() == "one\n"
    app.exec_run(["sh", "-c", "echo two > /data/page"])
    message = keeper.no_restore(volume="ram")
    assert "ram" in message and "with to" in message
    assert app.exec_run(["cat", "/data/page"]).output == b"two\n"


def test_in_memory_a_write_through_a_mapping_leaves_no_trace_but_counts(keeper: Keeper, slate: Slate) -> None:
    slate.volume("ram", driver_opts={"type": "tmpfs", "device": "tmpfs"})
    slate.service(name="app", volumes=["ram:/data"])
    page = slate.path("ram") / "page"
    page.write_text("one")
    keeper.backup("ram")
    assert keeper.backup("ram")["changed"] is False
    before = page.stat()
    with page.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[0] ^= 1
    after = page.stat()
    assert (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)
    assert keeper.backup("ram", diff=True)["changed"]
    assert keeper.backup("ram")["changed"] is False


@contextmanager
def _engine_over_tcp(slate: Slate) -> Iterator[str]:
    """Yield the URL of a TCP port that leads to the engine's socket: what is behind it is not known to be this host."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["socat", f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr", f"UNIX-CONNECT:{slate.engine.socket}"]
    forwarder = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < deadline, "socat does not listen"
            time.sleep(0.05)
        yield f"tcp://127.0.0.1:{port}"
    finally:
        forwarder.terminate()
        forwarder.wait(10)


def test_a_remote_engine_is_read_and_filled_through_its_api(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    root = slate.path("data")
    (root / "page").write_text("one")
    os.chown(root / "page", 1234, 4321)
    (root / "page").chmod(0o640)
    os.link(root / "page", root / "other-name")
    (root / "link").symlink_to("/etc/passwd")
    app = slate.service(name="app", volumes=["data:/data"])
    with _engine_over_tcp(slate) as url:
        keeper.common["docker_host"] = url
        since = slate.now()
        keeper.backup("data")
        assert slate.events(since) == [("app", "pause"), ("app", "unpause")]
        assert _manifest(keeper, "data")["road"] == "engine"
        assert keeper.backup("data")["changed"] is False
        keeper.restore("data", to="copy")
        copy = slate.path("copy")
        status = (copy / "page").stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777, status.st_nlink) == (1234, 4321, 0o640, 2)
        assert os.readlink(copy / "link") == "/etc/passwd"
        (root / "page").write_text("two")
        assert "only through the engine" in keeper.no_restore(volume="data")
    assert slate.state(app)[0] == "running"


@pytest.fixture
def plugin(lab: LabEngine, slate: Slate, tmp_path: Path) -> Iterator[Path]:
    """Serve the volume driver stewardlab; return the directory of its volumes."""
    with volume_plugin("stewardlab", tmp_path / "plugin"):
        yield tmp_path / "plugin"
    # An engine waits long for a plugin that it knows and that has gone.
    lab.restart()


def test_a_volume_of_another_driver_goes_through_the_engine(keeper: Keeper, slate: Slate, plugin: Path) -> None:
    slate.volume("plugged", driver="stewardlab")
    page = plugin / "plugged/page"
    page.write_text("one")
    app = slate.service(name="app", volumes=["plugged:/data"])
    keeper.backup("plugged")
    found = _manifest(keeper, "plugged")
    assert (found["road"], found["files"]) == ("engine", 1)
    # The engine can fill an empty volume, and leaves stale files in any other.
    page.write_text("two")
    message = keeper.no_restore(volume="plugged")
    assert "only through the engine" in message and "with to" in message
    assert page.read_text() == "two" and slate.state(app)[0] == "running"
    page.unlink()
    result = keeper.restore("plugged")
    assert result["changed"] and page.read_text() == "one"
    assert "loses" in " ".join(result["warnings"])
    assert keeper.restore("plugged")["changed"] is False
    # A missing one is made again by the driver it had.
    app.remove(force=True)
    slate.client.volumes.get("plugged").remove()
    keeper.restore("plugged")
    again = slate.client.volumes.get("plugged")
    assert again.attrs["Driver"] == "stewardlab" and page.read_text() == "one"
    again.remove()


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_every_compression_comes_back(compression: str, keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    (slate.path("data") / "page").write_text("one" * 10_000)
    row = keeper.backup("data", compression=compression)["backups"][0]
    suffix = {"zstd": ".tar.zst", "gzip": ".tar.gz", "none": ".tar"}[compression]
    assert row["path"].endswith(suffix)
    (slate.path("data") / "page").write_text("two")
    keeper.restore("data")
    assert (slate.path("data") / "page").read_text() == "one" * 10_000
