# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes under a backup is counted and named, and never taken for unchanged later."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Keeper, Slate

# The host's tar with a meddler: one script runs just before it begins to read, one while it is in the middle.
_TAR = """#!/bin/bash
case "$1" in
  --create)
    sh {before}
    exec -a tar /usr/bin/tar "$@" --checkpoint=20 --checkpoint-action=exec="sh {during}" ;;
esac
exec -a tar /usr/bin/tar "$@"
"""
# tar writes records of 10 KiB: its twentieth is in the middle of this one.
_BIG = b"0123456789abcdef" * (1 << 16)


class Meddler:
    """Changes a tree at exact moments of a backup."""

    def __init__(self, keeper: Keeper, root: Path, scratch: Path) -> None:
        """Put the meddling tar before the host's."""
        self._keeper = keeper
        self._root = root
        self._scripts = {name: scratch / name for name in ("before", "during")}
        programs = scratch / "programs"
        programs.mkdir()
        (programs / "tar").write_text(_TAR.format(**self._scripts))
        (programs / "tar").chmod(0o755)
        self._environment = {"PATH": f"{programs}:{os.environ['PATH']}"}

    def backup(self, before: str = "", during: str = "", *, again: bool = False, **options: Any) -> dict[str, Any]:
        """Back up the volume data while these commands are run in it, once or in each attempt; return the row."""
        for name, commands in (("before", before), ("during", during)):
            once = self._scripts[name].with_suffix(".once")
            self._scripts[name].write_text(
                f"mkdir {once} 2>/dev/null || {'true' if again else 'exit 0'}\ncd {self._root} || exit 1\nset -e\n{commands}\n"
            )
            if once.exists():
                once.rmdir()
        asked = {**self._keeper.common, "volumes": ["data"], "quiesce": "none", **options}
        row: dict[str, Any] = self._keeper.modules.ok("volume_backup", asked, environment=self._environment)["backups"][
            0
        ]
        done = [name for name in self._scripts if self._scripts[name].with_suffix(".once").exists()]
        assert row["attempts"] == 0 or done == ["before", "during"]
        return row


@pytest.fixture
def root(slate: Slate) -> Path:
    """Return the directory of the volume data: a large file in the middle of some small ones."""
    slate.volume("data")
    path = slate.path("data")
    for name in ("a", "b", "y", "z"):
        (path / name).write_text(name)
    (path / "big").write_bytes(_BIG)
    (path / "dir").mkdir()
    (path / "dir/inside").write_text("inside")
    return path


@pytest.fixture
def meddler(keeper: Keeper, root: Path, tmp_path: Path) -> Meddler:
    """Return what meddles with the volume data."""
    return Meddler(keeper, root, tmp_path)


def _manifest(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(row["path"].replace(".tar.zst", ".json")).read_text())
    return found


_KEYS = ("consistent", "changed_files", "changed_while_read", "vanished_files", "vanished_while_read")
_BEFORE = r"""
echo more >> z
chown 7:7 y
rm -r dir
ln -s /etc dir
rm a && mkfifo a
rm b
printf x > "$(printf 'new\nline \377')"
"""
# What is done, when, and what has to be named as changed and as vanished.
_MEDDLING = {
    "before tar comes there": (
        "before",
        _BEFORE,
        ["a", "dir", r"new\nline \xff", "y", "z"],
        ["b", "dir/inside"],
    ),
    "while it is read": ("during", "echo more >> big; echo more >> y; rm z", [".", "big", "y"], ["z"]),
    "truncated while it is read": ("during", "echo > big", ["big"], []),
}


@pytest.mark.parametrize(("moment", "commands", "changed", "vanished"), _MEDDLING.values(), ids=_MEDDLING.keys())
def test_what_changes_is_counted_and_named(
    moment: str, commands: str, changed: list[str], vanished: list[str], meddler: Meddler, keeper: Keeper, slate: Slate
) -> None:
    row = meddler.backup(**{moment: commands})
    assert sorted(row["changed_while_read"]) == changed
    assert sorted(row["vanished_while_read"]) == vanished
    assert (row["changed_files"], row["vanished_files"]) == (len(changed), len(vanished))
    assert (row["consistent"], row["attempts"]) == (False, 1)
    manifest = _manifest(row)
    assert {key: manifest[key] for key in _KEYS} == {key: row[key] for key in _KEYS}
    assert any("may not be consistent" in warning for warning in row["warnings"])
    # What it has can be restored all the same.
    assert "may not be consistent" in " ".join(keeper.restore("data", to="copy")["warnings"])
    assert (slate.path("copy") / "big").is_file()


def test_nothing_that_changes_is_a_consistent_backup(meddler: Meddler) -> None:
    row = meddler.backup()
    assert [row[key] for key in _KEYS] == [True, 0, [], 0, []]
    assert {key: _manifest(row)[key] for key in _KEYS} == {key: row[key] for key in _KEYS}


def test_a_writer_that_is_no_container_is_noticed_under_quiesce_too(meddler: Meddler, slate: Slate) -> None:
    slate.service(name="app", volumes=["data:/data"])
    row = meddler.backup(before="echo more >> z", quiesce="pause")
    assert (row["consistent"], row["changed_while_read"]) == (False, ["z"])


def test_twenty_of_many_are_named(meddler: Meddler) -> None:
    row = meddler.backup(before="for n in $(seq 100 129); do echo new > new$n; done")
    assert row["changed_files"] == 30
    assert row["changed_while_read"] == [f"new{number}" for number in range(100, 120)]


def test_retries_repeat_it_until_nothing_changes(meddler: Meddler, store: Path) -> None:
    row = meddler.backup(during="echo more >> big", retries=3)
    assert (row["attempts"], row["consistent"], row["changed_files"], row["warnings"]) == (2, True, 0, [])
    assert _manifest(row)["consistent"] is True
    assert len(list(store.rglob("*.tar.zst"))) == 1


def test_retries_end_while_something_writes_for_ever(meddler: Meddler, store: Path) -> None:
    row = meddler.backup(during="echo more >> big", again=True, retries=2)
    assert (row["attempts"], row["consistent"]) == (3, False)
    assert "big" in row["changed_while_read"]
    assert len(list(store.rglob("*.tar.zst"))) == 1


@pytest.mark.parametrize("moment", ["before", "during"])
def test_a_change_without_a_trace_in_size_and_time_is_not_lost(
    moment: str, meddler: Meddler, keeper: Keeper, slate: Slate, root: Path
) -> None:
    """The walk that was saved is from before the change; the archive has the file from before or after it."""
    for name in ("a", "z"):
        os.utime(root / name, ns=(1, 1))
    sizes = {name: (root / name).stat().st_size for name in ("a", "z")}
    row = meddler.backup(**{moment: "printf X > a; printf X > z; touch -d @0.000000001 a z"})
    assert {name: (root / name).stat().st_size for name in sizes} == sizes
    # Its size and time are as the walk has them: nothing tells of the change but the content.
    assert "a" not in row["changed_while_read"]
    made = keeper.backup("data")
    assert made["changed"] is (moment == "during")
    if made["changed"]:
        # The first was read before it changed, the last behind it.
        assert made["backups"][0]["reason"] == "1 changed"
    keeper.restore("data", to="copy")
    assert [(slate.path("copy") / name).read_text() for name in ("a", "z")] == ["X", "X"]
    assert keeper.backup("data")["changed"] is False


def test_a_root_that_becomes_a_link_behind_the_walk_is_not_followed(
    meddler: Meddler, keeper: Keeper, slate: Slate, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (outside / "big").write_bytes(_BIG)
    row = meddler.backup(
        before=f"cd .. && mv _data away && ln -s {outside} _data", during="cd .. && rm _data && mv away _data"
    )
    keeper.restore("data", backup=row["id"], to="copy")
    assert {path.name for path in slate.path("copy").iterdir()} == {"a", "b", "big", "dir", "y", "z"}
