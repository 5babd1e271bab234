# SPDX-License-Identifier: GPL-3.0-or-later
"""What backup_info lists, proves and warns about."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Keeper, Slate


def _info(keeper: Keeper, **options: Any) -> dict[str, Any]:
    return keeper.modules.ok("backup_info", {**keeper.common, **options})


def _flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x55]))


def _two_backups(slate: Slate, keeper: Keeper) -> tuple[Path, list[str]]:
    """Back up a volume twice; return its directory and the archives' paths, the oldest first."""
    slate.volume("shop")
    data = slate.path("shop") / "data"
    paths: list[str] = []
    for number in range(2):
        data.write_bytes(bytes([number]) * 100_000)
        paths.append(keeper.backup("shop")["backups"][0]["path"])
    return data, paths


def test_lists_the_newest_first_with_what_a_person_asks_for(slate: Slate, keeper: Keeper) -> None:
    _data, paths = _two_backups(slate, keeper)
    found = _info(keeper)
    assert [row["path"] for row in found["backups"]] == paths[::-1]
    assert [row["latest"] for row in found["backups"]] == [True, False]
    newest = found["backups"][0]
    assert (newest["volume"], newest["files"], newest["size"], newest["status"]) == ("shop", 1, 100_000, "whole")
    assert newest["stored"] == Path(paths[1]).stat().st_size
    assert found["totals"]["backups"] == 2
    assert found["totals"]["stored"] == sum(Path(path).stat().st_size for path in paths)
    assert not found["changed"]


@pytest.mark.parametrize(
    ("verify", "seen"), [("none", False), ("checksum", True), ("full", True)], ids=["none", "checksum", "full"]
)
def test_a_flipped_byte_is_found_by_reading(slate: Slate, keeper: Keeper, verify: str, seen: bool) -> None:
    _data, paths = _two_backups(slate, keeper)
    _flip(Path(paths[1]), Path(paths[1]).stat().st_size // 2)
    found = _info(keeper, verify=verify)
    assert [row["path"] for row in found["damaged"]] == ([paths[1]] if seen else [])
    # What is damaged is not what a restore would be offered.
    latest = next(row for row in found["backups"] if row["latest"])
    assert latest["path"] == paths[0 if seen else 1]


def test_full_finds_what_the_digests_hide(slate: Slate, keeper: Keeper, store: Path) -> None:
    """An archive that was replaced along with its digest is still held against its index."""
    slate.volume("shop")
    (slate.path("shop") / "data").write_bytes(b"right")
    first = keeper.backup("shop", compression="none")["backups"][0]
    archive = Path(first["path"])
    forged = archive.read_bytes().replace(b"right", b"wrong")
    archive.write_bytes(forged)
    manifest_path = archive.with_name(f"{first['id']}.json")
    manifest = json.loads(manifest_path.read_text())
    manifest["archive"]["sha256"] = hashlib.sha256(forged).hexdigest()
    manifest_path.write_text(json.dumps(manifest))
    assert _info(keeper, verify="checksum")["damaged"] == []
    assert "data" in _info(keeper, verify="full")["damaged"][0]["damage"]


@pytest.mark.parametrize("wreck", ["shorter", "no archive", "no index", "no manifest to read"])
def test_what_the_files_themselves_show_needs_no_reading(slate: Slate, keeper: Keeper, wreck: str) -> None:
    _data, paths = _two_backups(slate, keeper)
    archive = Path(paths[1])
    identifier = archive.name.split(".")[0]
    if wreck == "shorter":
        archive.write_bytes(archive.read_bytes()[:-1])
    elif wreck == "no archive":
        archive.unlink()
    elif wreck == "no index":
        archive.with_name(f"{identifier}.index.zst").unlink()
    else:
        archive.with_name(f"{identifier}.json").write_text("{")
    found = _info(keeper)
    assert [row["id"] for row in found["damaged"]] == [identifier]
    assert found["damaged"][0]["damage"]
    assert next(row for row in found["backups"] if row["latest"])["path"] == paths[0]


def test_stale_counts_from_the_last_confirmation(slate: Slate, keeper: Keeper, store: Path) -> None:
    _two_backups(slate, keeper)
    # Two of one second are told apart by their sequence, not by their names.
    found = store.glob("here/volumes/shop/*.json")
    newest = max(found, key=lambda path: int(json.loads(path.read_text())["sequence"]))
    manifest = json.loads(newest.read_text())
    manifest["created_at"] = manifest["confirmed_at"] = "2020-01-01T00:00:00Z"
    newest.write_text(json.dumps(manifest))
    stale = _info(keeper, max_age="2d")["stale"]
    assert [row["volume"] for row in stale] == ["shop"]
    # A run that finds nothing changed confirms it.
    assert keeper.backup("shop")["changed"] is False
    assert _info(keeper, max_age="2d")["stale"] == []


def test_names_volumes_in_use_without_a_backup(slate: Slate, keeper: Keeper) -> None:
    for name in ("kept", "bare", "unused"):
        slate.volume(name)
    slate.service(
        name="app",
        volumes=["kept:/kept", "bare:/bare", "/cache"],
    )
    keeper.backup("kept")
    found = _info(keeper)
    assert found["unprotected"] == ["bare"]
    assert found["unprotected_anonymous"] == ["app:/cache"]
    assert found["engine_reached"]


def test_shows_the_trees_that_restores_left(slate: Slate, keeper: Keeper) -> None:
    data, paths = _two_backups(slate, keeper)
    keeper.restore("shop", backup=Path(paths[0]).name.split(".")[0])
    previous = _info(keeper)["previous"]
    assert [row["volume"] for row in previous] == ["shop"]
    assert (Path(previous[0]["path"]) / "data").read_bytes() == b"\x01" * 100_000
    assert data.read_bytes() == b"\x00" * 100_000


def test_a_store_is_enough(slate: Slate, keeper: Keeper, store: Path) -> None:
    _two_backups(slate, keeper)
    nowhere = {"store": str(store), "docker_host": "unix:///nowhere.sock"}
    found = keeper.modules.ok("backup_info", {**nowhere, "all_hosts": True, "verify": "full"})
    assert len(found["backups"]) == 2
    assert found["hosts"] == ["here"]
    assert not found["engine_reached"]
    assert "nowhere.sock" in found["engine_problem"]
    message = keeper.modules.refused("backup_info", nowhere)
    assert "all_hosts" in message


def test_the_sdk_is_not_needed_to_read_a_store(
    slate: Slate, keeper: Keeper, bare_python: str, without_sdk: tuple[str, ...]
) -> None:
    _two_backups(slate, keeper)
    found = keeper.modules.ok("backup_info", keeper.common, python=bare_python, wrapper=without_sdk)
    assert len(found["backups"]) == 2
    assert not found["engine_reached"]
    assert "SDK" in found["engine_problem"]


def test_looking_leaves_no_trace(slate: Slate, keeper: Keeper) -> None:
    _two_backups(slate, keeper)
    shutil.rmtree(keeper.modules.state)
    _info(keeper, verify="full")
    keeper.backup("shop", check=True, diff=True)
    keeper.restore("shop", check=True, diff=True)
    assert not keeper.modules.state.exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"volumes": ["nothing"]}, "no backup of nothing"),
        ({"max_age": "soon"}, "26h or 2d"),
        ({"store": "/nowhere/at/all"}, "no such directory"),
    ],
)
def test_wrong_input(slate: Slate, keeper: Keeper, options: dict[str, Any], says: str) -> None:
    _two_backups(slate, keeper)
    assert says in keeper.modules.refused("backup_info", {**keeper.common, **options})
