# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as a change, and what does not: no archive, no downtime for an unchanged volume."""

from __future__ import annotations

import mmap
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Keeper, Slate


def _fill(root: Path) -> None:
    for number in range(20):
        (root / f"dir{number % 4}").mkdir(exist_ok=True)
        (root / f"dir{number % 4}" / f"file{number}").write_bytes(os.urandom(5000))
    (root / "link").symlink_to("dir0/file0")
    os.link(root / "dir0/file0", root / "hard")
    (root / os.fsdecode(b"stray\xff")).write_text("a name that is not UTF-8")
    subprocess.run(["setfattr", "-n", "user.colour", "-v", "red", root / "dir1/file1"], check=True)


def _archives(store: Path) -> list[str]:
    return sorted(path.name for path in store.glob("here/volumes/*/*.tar*"))


def _one_byte(path: Path) -> None:
    with path.open("r+b") as file:
        byte = file.read(1)[0]
        file.seek(0)
        file.write(bytes([byte ^ 1]))


def _one_byte_mtime_back(root: Path) -> str:
    path = root / "dir1/file1"
    before = path.stat()
    _one_byte(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    return "~ dir1/file1"


def _dirty_mapping(root: Path) -> str:
    path = root / "dir2/file2"
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[0] ^= 1
    return "~ dir2/file2"


def _mode(root: Path) -> str:
    (root / "dir3/file3").chmod(0o600)
    return "~ dir3/file3"


def _file_attribute(root: Path) -> str:
    subprocess.run(["setfattr", "-n", "user.colour", "-v", "blue", root / "dir1/file1"], check=True)
    return "~ dir1/file1"


def _directory_attribute(root: Path) -> str:
    subprocess.run(["setfattr", "-n", "user.colour", "-v", "blue", root / "dir1"], check=True)
    return "~ dir1"


def _directory_acl(root: Path) -> str:
    subprocess.run(["setfacl", "-d", "-m", "u:1234:rwx", root / "dir2"], check=True)
    return "~ dir2"


def _stray_name(root: Path) -> str:
    _one_byte(root / os.fsdecode(b"stray\xff"))
    return "~ stray\\xff"


def _deleted(root: Path) -> str:
    (root / "dir0/file4").unlink()
    return "- dir0/file4"


def _added(root: Path) -> str:
    (root / "dir0/new").write_text("new")
    return "+ dir0/new"


def _plain_byte(root: Path) -> str:
    _one_byte(root / "dir1/file5")
    return "~ dir1/file5"


CHANGES: list[Callable[[Path], str]] = [
    _plain_byte,
    _one_byte_mtime_back,
    _dirty_mapping,
    _mode,
    _file_attribute,
    _directory_attribute,
    _directory_acl,
    _stray_name,
    _deleted,
    _added,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_a_change_makes_exactly_that_volume_change(
    change: Callable[[Path], str], keeper: Keeper, slate: Slate, store: Path
) -> None:
    for name in ("one", "two"):
        slate.volume(name)
        _fill(slate.path(name))
    first = keeper.backup("one", "two")
    assert first["changed"] and [row["changed"] for row in first["backups"]] == [True, True]
    time.sleep(0.02)
    line = change(slate.path("one"))
    predicted = keeper.backup("one", "two", check=True, diff=True)
    assert len(_archives(store)) == 2, "check mode wrote an archive"
    again = keeper.backup("one", "two", diff=True)
    assert [row["changed"] for row in again["backups"]] == [True, False]
    assert [row["changed"] for row in predicted["backups"]] == [True, False]
    assert [item["before_header"] for item in again["diff"]] == ["the volume one"]
    assert line in again["diff"][0]["before"] + again["diff"][0]["after"]
    assert again["diff"] == predicted["diff"]
    assert len(_archives(store)) == 3
    assert keeper.backup("one", "two")["changed"] is False


def _temporary_file(root: Path) -> None:
    (root / "dir0/tmp").write_text("gone")
    (root / "dir0/tmp").unlink()


def _six_hundred(root: Path) -> None:
    for number in range(600):
        (root / "dir0" / f"a-long-name-for-a-temporary-file-{number}").touch()
    for number in range(600):
        (root / "dir0" / f"a-long-name-for-a-temporary-file-{number}").unlink()


def _chown_to_the_same(root: Path) -> None:
    subprocess.run(["chown", "-R", "0:0", root], check=True)


NO_CHANGES: list[Callable[[Path], Any]] = [_temporary_file, _six_hundred, _chown_to_the_same]


@pytest.mark.parametrize("no_change", NO_CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_what_leaves_the_data_as_it_was_is_no_change(
    no_change: Callable[[Path], Any], keeper: Keeper, slate: Slate, store: Path
) -> None:
    slate.volume("one")
    _fill(slate.path("one"))
    assert keeper.backup("one")["changed"]
    time.sleep(0.02)
    no_change(slate.path("one"))
    again = keeper.backup("one")
    assert again["changed"] is False and again["plan"] == []
    assert len(_archives(store)) == 1


def test_without_a_saved_walk_digests_decide(keeper: Keeper, slate: Slate, store: Path) -> None:
    slate.volume("one")
    _fill(slate.path("one"))
    keeper.backup("one")
    for walk in (keeper.modules.state / "walks").iterdir():
        walk.unlink()
    assert keeper.backup("one")["changed"] is False
    assert len(_archives(store)) == 1


def test_an_unchanged_volume_has_no_downtime_and_is_confirmed(keeper: Keeper, slate: Slate, store: Path) -> None:
    slate.volume("one")
    _fill(slate.path("one"))
    container = slate.service(volumes={"one": {"bind": "/data"}})
    first = keeper.backup("one")["backups"][0]
    assert [row["container"] for row in first["quiesced"]] == [container.name]
    manifest = next(store.glob("here/volumes/one/*.json"))
    before = manifest.read_text()
    time.sleep(1.1)
    events = slate.client.api.events(since=int(time.time()), until=int(time.time()) + 3, decode=True)
    again = keeper.backup("one")["backups"][0]
    assert again["quiesced"] == [] and again["id"] == first["id"]
    assert [event["Action"] for event in events if event.get("Type") == "container"] == []
    assert manifest.read_text() != before, "confirmed_at did not move"
    assert slate.state(container)[0] == "running"


def test_what_digests_had_to_settle_once_is_not_read_again(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    root = slate.path("data")
    _fill(root)
    keeper.backup("data")
    # Another ctime, the same content: the next run has to read it, and the one after that has not.
    subprocess.run(["chown", "-R", "0:0", root], check=True)
    read: list[int] = []
    for number in range(3):
        trace = keeper.modules.scratch / f"trace{number}"
        wrapper = ("strace", "-f", "--seccomp-bpf", "-y", "-e", "trace=read", "-o", str(trace))
        asked = {**keeper.common, "volumes": ["data"]}
        # Entries changed within the last two seconds are settled by digests again.
        time.sleep(2.1)
        assert keeper.modules.ok("volume_backup", asked, wrapper=wrapper)["changed"] is False
        read.append(sum(f"<{root}/" in line for line in trace.read_text().splitlines()))
    assert read[0] > 20 and read[1:] == [0, 0]
