# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: shared by hosts, pruned with care, and known by its own ID."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from lab.loopfs import loop_file_system

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Keeper, Slate


def _ids(store: Path, host: str, volume: str = "data") -> list[str]:
    return sorted(path.stem for path in (store / host / "volumes" / volume).glob("*.json"))


def _backup(keeper: Keeper, slate: Slate, content: str, **options: Any) -> dict[str, Any]:
    (slate.path("data") / "page").write_text(content)
    row: dict[str, Any] = keeper.backup("data", **options)["backups"][0]
    return row


def test_hosts_that_share_a_store_keep_to_their_own(keeper: Keeper, slate: Slate, store: Path) -> None:
    slate.volume("data")
    for content in ("one", "two", "three"):
        _backup(keeper, slate, f"here {content}")
    here = _ids(store, "here")
    for content in ("one", "two", "three"):
        _backup(keeper, slate, f"there {content}", host="there", keep={"last": 1})
    assert _ids(store, "here") == here and len(here) == 3
    assert len(_ids(store, "there")) == 1
    keeper.restore("data", host="here")
    assert (slate.path("data") / "page").read_text() == "here three"
    keeper.restore("data", host="there")
    assert (slate.path("data") / "page").read_text() == "there three"
    assert here[0] not in keeper.no_restore(volume="data", backup=here[0], host="there").split("There are")[1]


def test_keep_prunes_the_oldest_and_says_which(keeper: Keeper, slate: Slate, store: Path) -> None:
    slate.volume("data")
    made = [_backup(keeper, slate, str(number))["id"] for number in range(3)]
    planned = keeper.backup("data", keep={"last": 2}, check=True)
    assert planned["backups"][0]["pruned"] == [made[0]]
    assert _ids(store, "here") == sorted(made)
    row = keeper.backup("data", keep={"last": 2})["backups"][0]
    assert row["pruned"] == [made[0]] and row["changed"]
    assert sorted({path.name.split(".")[0] for path in (store / "here/volumes/data").iterdir()}) == sorted(made[1:])
    assert keeper.backup("data", keep={"last": 2})["changed"] is False


def test_pruning_waits_while_a_backup_is_suspiciously_small(keeper: Keeper, slate: Slate, store: Path) -> None:
    slate.volume("data")
    first = _backup(keeper, slate, "x" * 10_000)
    second = _backup(keeper, slate, "", keep={"last": 1})
    assert second["pruned"] == [] and f"accept_shrink: {second['id']}" in " ".join(second["warnings"])
    assert _ids(store, "here") == sorted([first["id"], second["id"]])
    row = keeper.backup("data", keep={"last": 1}, accept_shrink=second["id"])["backups"][0]
    assert row["pruned"] == [first["id"]]
    # What was meant once needs not be said again.
    third = _backup(keeper, slate, "y", keep={"last": 1})
    assert third["pruned"] == [second["id"]]


def test_a_damaged_backup_is_not_counted_by_keep(keeper: Keeper, slate: Slate, store: Path) -> None:
    slate.volume("data")
    made = [_backup(keeper, slate, str(number)) for number in range(2)]
    os.truncate(made[1]["path"], 10)
    third = _backup(keeper, slate, "2", keep={"last": 2})
    assert third["pruned"] == []
    assert made[0]["id"] in _ids(store, "here")
    assert made[1]["path"] in " ".join(third["warnings"])


def test_a_store_that_is_not_mounted_is_no_new_store(keeper: Keeper, slate: Slate, tmp_path: Path) -> None:
    slate.volume("data")
    point = tmp_path / "ext4"
    keeper.common["store"] = str(point)
    with loop_file_system(tmp_path, 30):
        _backup(keeper, slate, "one")
    assert list(point.iterdir()) == []
    for message in (
        keeper.no_backup(volumes=["data"]),
        keeper.no_restore(volume="data"),
        keeper.modules.refused("backup_info", keeper.common),
    ):
        assert "mounted" in message and str(point) in message
    assert list(point.iterdir()) == []


def test_a_store_that_vanished_altogether_is_no_new_store(keeper: Keeper, slate: Slate, store: Path) -> None:
    slate.volume("data")
    _backup(keeper, slate, "one")
    shutil.rmtree(store)
    assert "mounted" in keeper.no_backup(volumes=["data"])
    assert not store.exists()


def test_check_mode_makes_no_store(keeper: Keeper, slate: Slate, store: Path) -> None:
    slate.volume("data")
    assert keeper.backup("data", check=True)["changed"]
    assert not store.exists()
    assert not keeper.modules.state.exists() or not (keeper.modules.state / "stores.json").exists()


def test_only_root_reads_a_store(keeper: Keeper, slate: Slate, store: Path) -> None:
    slate.volume("data")
    _backup(keeper, slate, "secret")
    modes = {path.stat().st_mode & 0o777 for path in [store, *store.rglob("*")] if path.is_dir()}
    assert modes == {0o700}
    assert {path.stat().st_mode & 0o777 for path in store.rglob("*") if path.is_file()} == {0o600}


def test_a_name_is_never_used_twice(keeper: Keeper, slate: Slate, store: Path) -> None:
    """Two backups within one second, or under a clock that was set back, keep apart by a suffix."""
    slate.volume("data")
    first = _backup(keeper, slate, "one")
    future = "29991231T235959Z"
    for path in (store / "here/volumes/data").glob(f"{first['id']}*"):
        path.rename(path.with_name(path.name.replace(first["id"], future)))
    manifest_path = store / f"here/volumes/data/{future}.json"
    manifest = json.loads(manifest_path.read_text().replace(first["id"], future))
    manifest["created_at"] = manifest["confirmed_at"] = "2999-12-31T23:59:59Z"
    manifest_path.write_text(json.dumps(manifest))
    # The newest is told by its sequence, whatever the clock says.
    second = _backup(keeper, slate, "two")
    (slate.path("data") / "page").write_text("three")
    assert keeper.restore("data")["restored"]["backup"] == second["id"] < future
    assert (slate.path("data") / "page").read_text() == "two"
