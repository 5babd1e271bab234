# SPDX-License-Identifier: GPL-3.0-or-later
"""Which directory is a store, and which is not the one it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ansible_collections.steward.docker.plugins.module_utils._backup.store import IDENTITY, Store
from ansible_collections.steward.docker.plugins.module_utils._errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_both = pytest.mark.parametrize("use", [Store.open, Store.create], ids=["open", "create"])


def test_a_new_store_is_private_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store"
    made = Store.create(str(path))
    assert path.stat().st_mode & 0o777 == 0o700
    assert os.listdir(path) == [IDENTITY]
    assert made.id
    assert Store.open(str(path)).id == Store.create(str(path)).id == made.id


def test_two_stores_have_different_ids(tmp_path: Path) -> None:
    assert Store.create(str(tmp_path / "a")).id != Store.create(str(tmp_path / "b")).id


def test_a_directory_with_other_files_can_become_a_store(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "notes").write_bytes(b"x")
    assert Store.create(str(tmp_path / "store")).id
    assert (tmp_path / "store" / "notes").exists()


@pytest.mark.parametrize("there", [False, True], ids=["missing", "empty"])
def test_nothing_is_made_when_it_is_only_looked_at(tmp_path: Path, state: Path, there: bool) -> None:
    path = tmp_path / "store"
    if there:
        path.mkdir()
    assert Store.create(str(path), pretend=True).id == ""
    assert path.exists() == there
    assert not there or os.listdir(path) == []
    assert not (state / "stores.json").exists()


@_both
def test_a_file_is_no_store(tmp_path: Path, use: Callable[[str], Store]) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StoreError, match=f"The store {tmp_path}/file is a file"):
        use(str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == b"x"


@_both
def test_a_link_that_leads_nowhere_is_no_store(tmp_path: Path, use: Callable[[str], Store]) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(StoreError, match="no such directory"):
        use(str(tmp_path / "link"))
    assert not (tmp_path / "nowhere").exists()


def test_a_missing_directory_is_no_store_to_read_from(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"There is no store at {tmp_path}/no: no such directory"):
        Store.open(str(tmp_path / "no"))


def test_an_unmarked_directory_is_no_store_to_read_from(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(StoreError, match=f"The directory {tmp_path}/d is no store of backups: it has no {IDENTITY}"):
        Store.open(str(tmp_path / "d"))
    assert os.listdir(tmp_path / "d") == []


_DAMAGED = {
    "empty": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "without an ID": b'{"format": 1}',
    "without a format": b'{"id": "x"}',
    "another format": b'{"format": 2, "id": "x"}',
    "no UTF-8": b"\xff",
}


@_both
@pytest.mark.parametrize("content", _DAMAGED.values(), ids=_DAMAGED.keys())
def test_a_damaged_mark_is_refused_and_kept(tmp_path: Path, use: Callable[[str], Store], content: bytes) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / IDENTITY).write_bytes(content)
    with pytest.raises(StoreError, match=r"is damaged|has the format 2; 1 is known here"):
        use(str(tmp_path / "store"))
    assert (tmp_path / "store" / IDENTITY).read_bytes() == content


@_both
def test_a_known_store_whose_mark_has_gone_is_refused(tmp_path: Path, use: Callable[[str], Store]) -> None:
    path = tmp_path / "store"
    identifier = Store.create(str(path)).id
    (path / IDENTITY).unlink()
    with pytest.raises(StoreError, match=f"The store at {path} was {identifier} and is now an unmarked directory"):
        use(str(path))
    assert os.listdir(path) == []


@_both
def test_another_store_in_the_place_of_a_known_one_is_refused(tmp_path: Path, use: Callable[[str], Store]) -> None:
    path = tmp_path / "store"
    old = Store.create(str(path)).id
    new = Store.create(str(tmp_path / "other")).id
    shutil.copy(tmp_path / "other" / IDENTITY, path / IDENTITY)
    with pytest.raises(StoreError, match=f"was {old} and is now {new}"):
        use(str(path))


@pytest.mark.parametrize("pretend", [False, True], ids=["create", "pretend"])
@pytest.mark.parametrize("way", ["direct", "slash", "dots", "link"])
def test_a_known_store_that_has_gone_is_not_made_again(tmp_path: Path, way: str, pretend: bool) -> None:
    # As when the file system that it is on is not mounted.
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    ways = {"direct": "disk/store", "slash": "disk/store/", "dots": "disk/../disk/store", "link": "link/store"}
    path = f"{tmp_path}/{ways[way]}"
    Store.create(path)
    shutil.rmtree(tmp_path / "disk" / "store")
    with pytest.raises(StoreError, match="Is its file system mounted"):
        Store.create(path, pretend=pretend)
    assert os.listdir(tmp_path / "disk") == []


def test_a_store_is_known_by_the_directory_that_a_link_leads_to(tmp_path: Path) -> None:
    path = tmp_path / "store"
    (tmp_path / "link").symlink_to("store")
    Store.create(str(path))
    (path / IDENTITY).unlink()
    with pytest.raises(StoreError, match="is now an unmarked directory"):
        Store.create(str(tmp_path / "link"))


def test_a_change_that_is_meant_is_allowed_by_removing_the_line(tmp_path: Path, state: Path) -> None:
    path = tmp_path / "store"
    old = Store.create(str(path)).id
    (path / IDENTITY).unlink()
    assert json.loads((state / "stores.json").read_bytes()) == {str(path): old}
    (state / "stores.json").write_text("{}")
    assert Store.create(str(path)).id not in ("", old)


def test_stores_known_before_stay_known(tmp_path: Path, state: Path) -> None:
    ids = {str(tmp_path / name): Store.create(str(tmp_path / name)).id for name in ("a", "b", "c")}
    assert json.loads((state / "stores.json").read_bytes()) == ids


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"null"])
def test_a_damaged_memory_of_stores_costs_no_store(tmp_path: Path, state: Path, content: bytes) -> None:
    identifier = Store.create(str(tmp_path / "store")).id
    (state / "stores.json").write_bytes(content)
    assert Store.create(str(tmp_path / "store")).id == identifier


_BEGIN = """
import os, sys
from ansible_collections.steward.docker.plugins.module_utils._backup.store import Store
print(Store.create(sys.argv[1]).id)
"""


def test_hosts_that_begin_with_a_store_at_once_agree_on_its_name(tmp_path: Path) -> None:
    store = tmp_path / "shared"
    store.mkdir()
    hosts = [
        subprocess.Popen(
            [sys.executable, "-c", _BEGIN, str(store)],
            # Each host has a state of its own; two runs of one host share it.
            env={**os.environ, "STEWARD_STATE_DIR": str(tmp_path / f"state{number // 2}")},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    said = {host.communicate()[0].strip() for host in hosts}
    assert [host.returncode for host in hosts] == [0] * 8
    assert len(said) == 1 and said != {""}
    assert [path.name for path in store.iterdir()] == ["steward-store.json"]
