# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs that ended in the middle leave in the store, and how it goes."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from builders import SUBJECT, dead_process, manifest

from ansible_collections.steward.docker.plugins.module_utils._backup.store import Store
from ansible_collections.steward.docker.plugins.module_utils._process import ProcessIdentity, myself

if TYPE_CHECKING:
    from pathlib import Path

_DEAD = dead_process()
_FOREIGN = ProcessIdentity("another-machine", "its-boot", 1, 1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a new store in which the subject has a directory."""
    store = Store.create(str(tmp_path / "store"))
    store.home(SUBJECT).mkdir(parents=True)
    return store


def _temporary(owner: object, name: str) -> str:
    return f".tmp-{owner}@{name}"


_LEFT = {
    "a draft of the dead": ([_temporary(_DEAD, "X.tar"), _temporary(_DEAD, "X.index")], []),
    "a draft of a living one": ([_temporary(myself(), "X.tar")], [_temporary(myself(), "X.tar")]),
    "a draft of another machine": ([_temporary(_FOREIGN, "X.tar")], [_temporary(_FOREIGN, "X.tar")]),
    "one that says no owner": ([".tmp-@X.tar", ".tmp-x"], [".tmp-@X.tar", ".tmp-x"]),
    "a commit, nothing renamed": ([_temporary(_DEAD, name) for name in ("X.tar", "X.index", "X.json")], []),
    "a commit, the archive renamed": (["X.tar", _temporary(_DEAD, "X.index"), _temporary(_DEAD, "X.json")], []),
    "a commit, all but the manifest renamed": (["X.tar", "X.index", _temporary(_DEAD, "X.json")], []),
    "a commit of a living one": (
        ["X.tar", "X.index", _temporary(myself(), "X.json")],
        ["X.tar", "X.index", _temporary(myself(), "X.json")],
    ),
    "a commit beside others with a like ID": (
        ["X.tar", _temporary(_DEAD, "X.json"), "X-2.tar", "X-2.index", "X-2.json", "XY.tar"],
        ["X-2.tar", "X-2.index", "X-2.json", "XY.tar"],
    ),
    "a removal, the archive left": (["X.tar", _temporary(_DEAD, "X.json")], []),
    "a confirmation": (
        ["X.tar", "X.index", "X.json", _temporary(_DEAD, "X.json")],
        ["X.tar", "X.index", "X.json"],
    ),
    "a drill's result": (
        ["X.tar", "X.index", "X.json", _temporary(_DEAD, "X.drill.json")],
        ["X.tar", "X.index", "X.json"],
    ),
    "half removed": (["X.tar", "X.index"], ["X.tar", "X.index"]),
}


@pytest.mark.parametrize(("before", "after"), _LEFT.values(), ids=_LEFT.keys())
def test_only_what_the_dead_left_unfinished_goes(store: Store, before: list[str], after: list[str]) -> None:
    home = store.home(SUBJECT)
    for name in before:
        (home / name).write_bytes(b"x")
    swept = store.sweep(SUBJECT)
    assert sorted(os.listdir(home)) == sorted(after)
    assert sorted(swept) == sorted(set(before) - set(after))


def test_a_new_draft_sweeps_first(store: Store) -> None:
    home = store.home(SUBJECT)
    (home / "X.tar").write_bytes(b"x")
    (home / _temporary(_DEAD, "X.json")).write_bytes(b"x")
    store.draft(SUBJECT, datetime.now(UTC), "", "").abort()
    assert os.listdir(home) == []


# Ends itself without a word before or after a rename of the commit.
_KILLED = """
import json, os, signal, sys
from datetime import datetime, timezone
from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import Subject, from_json
from ansible_collections.steward.docker.plugins.module_utils._backup.store import Store

path, step, data = sys.argv[1], int(sys.argv[2]), sys.argv[3]
draft = Store.open(path).draft(Subject("web1", "volumes", "data"), datetime(2026, 1, 1, tzinfo=timezone.utc), "", "")
draft.archive.write(b"abc")
rename, done = os.rename, []

def counted(source, target):
    if len(done) == step:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)
    done.append(target)
    if len(done) == 3 == step:
        os.kill(os.getpid(), signal.SIGKILL)

os.rename = counted
draft.commit(from_json(data.encode(), "m"))
"""


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_a_run_that_is_killed_in_its_commit_leaves_a_whole_backup_or_none(store: Store, step: int) -> None:
    made = manifest("20260101T000000Z")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _KILLED, str(store.path), str(step), made.to_json().decode()]
    ended = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert ended.returncode == -9, ended.stderr
    assert store.whole(SUBJECT) == ([made] if step == 3 else [])
    store.sweep(SUBJECT)
    assert len(os.listdir(store.home(SUBJECT))) == (3 if step == 3 else 0)
