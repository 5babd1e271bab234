# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: how a backup comes into it, and how it is listed."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from builders import SUBJECT, manifest

from ansible_collections.steward.docker.plugins.module_utils._backup import store as store_module
from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import Manifest, Subject
from ansible_collections.steward.docker.plugins.module_utils._backup.store import Backup, Draft, Store
from ansible_collections.steward.docker.plugins.module_utils._errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

_WHEN = datetime(2026, 11, 23, 15, 16, 17, tzinfo=UTC)
_ID = "20261123T151617Z"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a new store."""
    return Store.create(str(tmp_path / "store"))


def _draft(store: Store, subject: Subject = SUBJECT, when: datetime = _WHEN) -> Draft:
    draft = store.draft(subject, when, ".zst", ".gz")
    draft.archive.write(b"archive")
    draft.index.write(b"index")
    return draft


def _manifest_of(draft: Draft, subject: Subject = SUBJECT) -> Manifest:
    return manifest(
        draft.id,
        draft.sequence,
        host=subject.host,
        kind=subject.kind,
        name=subject.name,
        archive={"name": draft.archive_name, "bytes": 7},
        index={"name": draft.index_name},
    )


def _backup(store: Store, subject: Subject = SUBJECT, when: datetime = _WHEN) -> Backup:
    draft = _draft(store, subject, when)
    return draft.commit(_manifest_of(draft, subject))


def _files(store: Store, subject: Subject = SUBJECT) -> list[str]:
    return sorted(os.listdir(store.home(subject)))


def test_a_committed_backup_is_whole_and_private(store: Store) -> None:
    backup = _backup(store)
    assert _files(store) == [f"{_ID}.index.gz", f"{_ID}.json", f"{_ID}.tar.zst"]
    assert {path.stat().st_mode & 0o777 for path in store.home(SUBJECT).iterdir()} == {0o600}
    assert store.home(SUBJECT).stat().st_mode & 0o777 == 0o700
    assert store.backups(SUBJECT) == [backup]
    assert store.whole(SUBJECT) == [backup.manifest]
    assert (backup.archive_path.read_bytes(), backup.index_path.read_bytes()) == (b"archive", b"index")


def test_nothing_is_listed_before_the_commit(store: Store) -> None:
    draft = _draft(store)
    assert store.backups(SUBJECT) == []
    assert all(name.startswith(".") for name in _files(store))
    draft.abort()


def test_an_aborted_backup_leaves_nothing(store: Store) -> None:
    draft = _draft(store)
    draft.abort()
    draft.abort()
    assert _files(store) == []


def test_an_abort_after_the_commit_takes_nothing_back(store: Store) -> None:
    draft = _draft(store)
    backup = draft.commit(_manifest_of(draft))
    draft.abort()
    assert store.backups(SUBJECT) == [backup]


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_commit_that_fails_leaves_nothing(store: Store, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    left = iter(range(1, 9))

    def sync(_path: Path) -> None:
        if next(left) == step:
            raise OSError(5, "Input/output error")

    draft = _draft(store)
    monkeypatch.setattr(store_module, "sync_directory", sync)
    with pytest.raises(StoreError, match=f"Could not finish the backup {_ID} in .*: Input/output error"):
        draft.commit(_manifest_of(draft))
    assert _files(store) == []


def test_backups_of_one_second_get_different_ids(store: Store) -> None:
    ids = [_backup(store).path.name for _turn in range(3)]
    assert ids == [f"{_ID}.json", f"{_ID}-2.json", f"{_ID}-3.json"]


def test_the_id_of_a_half_removed_backup_is_not_used_again(store: Store) -> None:
    _backup(store).path.unlink()
    assert _backup(store).path.name == f"{_ID}-2.json"


def test_the_sequence_goes_on_although_the_clock_was_set_back(store: Store) -> None:
    for days in (0, 5, -5):
        _backup(store, when=_WHEN + timedelta(days=days))
    assert [item.sequence for item in store.whole(SUBJECT)] == [1, 2, 3]
    assert [item.id[:8] for item in store.whole(SUBJECT)] == ["20261123", "20261128", "20261118"]


def test_a_removed_backup_leaves_nothing_and_the_others_stay(store: Store) -> None:
    first, second = _backup(store), _backup(store)
    (store.home(SUBJECT) / f"{_ID}.drill.json").write_bytes(b"{}")
    assert first.manifest
    store.remove(SUBJECT, first.manifest)
    assert store.backups(SUBJECT) == [second]
    assert len(_files(store)) == 3
    store.remove(SUBJECT, first.manifest)


def test_a_confirmation_is_kept(store: Store) -> None:
    backup = _backup(store)
    assert backup.manifest
    store.confirm(SUBJECT, backup.manifest, _WHEN + timedelta(days=1))
    (found,) = store.whole(SUBJECT)
    assert (found.confirmed_at, found.created_at) == ("2026-11-24T15:16:17Z", "2026-01-01T00:00:00Z")
    assert len(_files(store)) == 3


def _damage(backup: Backup, kind: str) -> None:
    if kind == "archive missing":
        backup.archive_path.unlink()
    elif kind == "archive cut off":
        backup.archive_path.write_bytes(b"arch")
    elif kind == "index missing":
        backup.index_path.unlink()
    elif kind == "manifest cut off":
        backup.path.write_bytes(backup.path.read_bytes()[:50])
    elif kind == "manifest of a later format":
        backup.path.write_text(json.dumps({"format": 99}))
    else:
        backup.path.unlink()
        backup.path.mkdir()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("archive missing", rf"^The archive .*/{_ID}\.tar\.zst is missing\.$"),
        ("archive cut off", rf"^The archive .*/{_ID}\.tar\.zst has 4 bytes and should have 7\.$"),
        ("index missing", rf"^The index .*/{_ID}\.index\.gz is missing\.$"),
        ("manifest cut off", rf"^The manifest .*/{_ID}\.json is damaged: "),
        ("manifest of a later format", "its format is 99"),
        ("manifest is a directory", rf"^Could not read the manifest .*/{_ID}\.json: Is a directory"),
    ],
)
def test_a_damaged_backup_is_listed_as_such_and_spoils_no_other(store: Store, kind: str, message: str) -> None:
    damaged, whole = _backup(store), _backup(store)
    _damage(damaged, kind)
    found = store.backups(SUBJECT)
    assert [backup.path for backup in found] == [damaged.path, whole.path]
    with pytest.raises(StoreError, match=message):
        raise StoreError(found[0].damage)
    assert found[1].damage == ""
    assert store.whole(SUBJECT) == [whole.manifest]


def test_other_files_are_no_backups(store: Store) -> None:
    backup = _backup(store)
    for name in (f"{_ID}.drill.json", ".hidden.json", "notes.txt"):
        (store.home(SUBJECT) / name).write_bytes(b"x")
    assert store.backups(SUBJECT) == [backup]


def test_a_subject_without_backups_has_none(store: Store) -> None:
    assert store.backups(SUBJECT) == []
    assert store.whole(SUBJECT) == []
    assert store.subjects("web1") == []
    assert store.hosts() == []


def test_hosts_are_kept_apart(store: Store) -> None:
    other = SUBJECT._replace(host="web2")
    for subject in (SUBJECT, other, other):
        _backup(store, subject)
    assert store.hosts() == ["web1", "web2"]
    assert [len(store.whole(subject)) for subject in (SUBJECT, other)] == [1, 2]
    assert [item.sequence for item in store.whole(other)] == [1, 2]


_SUBJECTS = [
    Subject("web1", "volumes", "data"),
    Subject("web1", "volumes", "shop-db-1:/var/log"),
    Subject("web1", "volumes", "shop-db-1:/100%/é"),
    Subject("web1", "volumes", "a%2Fb"),
    Subject("web1", "volumes", "a-b"),
    Subject("web1", "binds", "/srv/my-data"),
    Subject("web1", "binds", "/srv/my/data"),
    Subject("web1", "binds", "/.hidden"),
    Subject("web1", "binds", "/"),
    Subject("web1", "binds", os.fsdecode(b"/caf\xe9")),
]


def test_what_there_are_backups_of_is_found_by_its_own_name(store: Store) -> None:
    for subject in _SUBJECTS:
        _backup(store, subject)
    assert sorted(store.subjects("web1")) == sorted(_SUBJECTS)
    assert all(len(store.whole(subject)) == 1 for subject in _SUBJECTS)


@pytest.mark.parametrize("host", ["web1.example.org", "..", ".", "a/b", "a-b", "ä", "x y"])
def test_a_host_of_any_name_stays_inside_of_the_store(store: Store, host: str) -> None:
    subject = SUBJECT._replace(host=host)
    _backup(store, subject)
    assert store.home(subject).resolve().parent.parent.parent == store.path
    assert store.hosts() == [host]
    assert store.subjects(host) == [subject]


@pytest.mark.parametrize("name", ["lost+found", "Übung", ".Trash-0", ".snapshot"])
def test_a_directory_that_no_host_made_is_none(store: Store, name: str) -> None:
    _backup(store)
    (store.path / name).mkdir()
    assert store.hosts() == ["web1"]


@pytest.mark.parametrize("name", ["Übung", "a b"])
def test_a_directory_that_is_of_no_bind_mount_is_passed_over(store: Store, name: str) -> None:
    subject = Subject("web1", "binds", "/srv")
    _backup(store, subject)
    (store.home(subject).parent / name).mkdir()
    assert store.subjects("web1") == [subject]
