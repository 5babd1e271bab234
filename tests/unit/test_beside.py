# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees beside the data: staged, replaced and swept."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from builders import dead_process

from ansible_collections.steward.docker.plugins.module_utils._backup import beside
from ansible_collections.steward.docker.plugins.module_utils._backup.beside import PREVIOUS, REMOVED, STAGING, Wrapper
from ansible_collections.steward.docker.plugins.module_utils._errors import TreeError
from ansible_collections.steward.docker.plugins.module_utils._process import ProcessIdentity, myself

_DEAD = dead_process()
_FOREIGN = ProcessIdentity("another-machine", "its-boot", 1, 1)


@pytest.fixture(params=["data", "my data", "a@b", ".steward-staging-x@y"])
def data(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Return a directory with a file in it, under ordinary and awkward names."""
    path = tmp_path / "parent" / request.param
    path.mkdir(parents=True)
    (path / "old").write_bytes(b"old")
    return str(path)


def _wrapper(data: str, kind: str, mark: object, **note: object) -> Wrapper:
    """Make a wrapper as a run that ended before has left it."""
    wrapper = Wrapper(Path(data).with_name(f".steward-{kind}-{mark}@{Path(data).name}"), kind, str(mark))
    wrapper.tree.mkdir(parents=True)
    (wrapper.tree / "file").write_bytes(b"x")
    if note:
        (wrapper.path / "note.json").write_text(json.dumps(note))
    return wrapper


def _staged(data: str, owner: object) -> Wrapper:
    wrapper = _wrapper(data, STAGING, owner)
    beside.note_staged(wrapper)
    return wrapper


def _exchange(wrapper: Wrapper, data: str) -> None:
    """Let the tree and the data change places, if not in one step."""
    os.rename(data, wrapper.path / "meanwhile")
    os.rename(wrapper.tree, data)
    os.rename(wrapper.path / "meanwhile", wrapper.tree)


def test_a_staged_tree_is_empty_and_private_and_on_the_same_file_system(data: str) -> None:
    wrapper = beside.stage(data)
    assert beside.wrappers(data) == [wrapper]
    assert (wrapper.kind, wrapper.mark) == (STAGING, str(myself()))
    assert wrapper.path.parent == Path(data).parent
    assert (wrapper.path.stat().st_mode & 0o777, wrapper.tree.stat().st_mode & 0o777) == (0o700, 0o700)
    assert os.listdir(wrapper.tree) == []
    assert wrapper.note() == {"staged": wrapper.tree.stat().st_ino}


def test_a_second_staging_begins_anew(data: str) -> None:
    (beside.stage(data).tree / "half").write_bytes(b"x")
    assert os.listdir(beside.stage(data).tree) == []
    assert len(beside.wrappers(data)) == 1


def test_staging_beside_what_has_no_parent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TreeError, match=r"Could not stage the backup beside .*/no/data: No such file"):
        beside.stage(str(tmp_path / "no" / "data"))


def test_wrappers_of_other_data_are_passed_over(data: str) -> None:
    other = str(Path(data).with_name("other"))
    mine, _theirs = _wrapper(data, PREVIOUS, "20260101T000000Z"), _wrapper(other, PREVIOUS, "20260101T000000Z")
    Path(data).with_name(".steward-unknown-x@" + Path(data).name).mkdir()
    assert beside.wrappers(data) == [mine]


def test_wrappers_come_the_oldest_first(data: str) -> None:
    marks = ["20251231T235959Z", "20260101T000000Z", "20260101T000000Z-77", "20260101T000001Z"]
    for mark in reversed(marks):
        _wrapper(data, PREVIOUS, mark)
    assert [wrapper.mark for wrapper in beside.wrappers(data)] == marks
    assert beside.previous(data) == beside.wrappers(data)[-1]


def test_a_replaced_tree_is_kept_with_its_note(data: str) -> None:
    before = int(time.time())
    wrapper = beside.stage(data)
    _exchange(wrapper, data)
    kept = beside.keep_as_previous(wrapper, data, {"backup": "X"})
    assert beside.wrappers(data) == [kept]
    assert beside.previous(data) == kept
    assert (kept.tree / "old").read_bytes() == b"old"
    assert kept.note()["backup"] == "X"
    assert before <= kept.note()["replaced_at"] <= time.time()
    assert [item["path"] for item in beside.previous_trees(data)] == [str(kept.tree)]


def test_only_the_last_replaced_tree_is_kept(data: str) -> None:
    for number in range(3):
        wrapper = beside.stage(data)
        (wrapper.tree / str(number)).write_bytes(b"x")
        kept = beside.keep_as_previous(wrapper, data, {"backup": str(number)})
    assert beside.wrappers(data) == [kept]
    assert os.listdir(kept.tree) == ["2"]


def test_there_is_no_previous_tree_without_one(data: str) -> None:
    beside.stage(data)
    _wrapper(data, REMOVED, "1767225600-1")
    assert beside.previous(data) is None


def test_a_wrapper_whose_tree_has_gone_is_not_previous(data: str) -> None:
    whole = _wrapper(data, PREVIOUS, "20260101T000000Z")
    (_wrapper(data, PREVIOUS, "20260102T000000Z").tree / "file").unlink()
    beside.wrappers(data)[-1].tree.rmdir()
    assert beside.previous(data) == whole


@pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
def test_a_note_that_cannot_be_read_says_nothing(data: str, content: bytes) -> None:
    wrapper = _wrapper(data, PREVIOUS, "20260101T000000Z")
    (wrapper.path / "note.json").write_bytes(content)
    assert wrapper.note() == {}
    assert beside.sweep(data, 0) == []


@pytest.mark.parametrize(
    ("owner", "goes"),
    [
        pytest.param(_DEAD, True, id="dead"),
        pytest.param(myself(), False, id="living"),
        pytest.param(_FOREIGN, False, id="of another machine"),
        pytest.param("unreadable", False, id="unreadable"),
    ],
)
def test_a_staged_tree_goes_once_its_owner_is_dead(data: str, owner: object, goes: bool) -> None:
    wrapper = _staged(data, owner)
    assert beside.sweep(data) == ([str(wrapper.path)] if goes else [])
    assert beside.wrappers(data) == ([] if goes else [wrapper])
    assert (Path(data) / "old").exists()


@pytest.mark.parametrize("kind", ["without a note", "without a tree"])
def test_a_staging_that_had_hardly_begun_goes_too(data: str, kind: str) -> None:
    wrapper = _wrapper(data, STAGING, _DEAD)
    if kind == "without a tree":
        (wrapper.tree / "file").unlink()
        wrapper.tree.rmdir()
    assert beside.sweep(data) == [str(wrapper.path)]
    assert beside.wrappers(data) == []


def test_the_old_data_in_a_dead_runs_staging_is_kept_as_previous(data: str) -> None:
    wrapper = _staged(data, _DEAD)
    _exchange(wrapper, data)
    (swept,) = beside.sweep(data)
    kept = beside.previous(data)
    assert kept is not None
    assert str(kept.path) == swept
    assert (kept.tree / "old").read_bytes() == b"old"
    assert (Path(data) / "file").exists()
    assert kept.note()["backup"] == "unknown"


def test_old_data_whose_keeping_was_cut_short_is_kept(data: str) -> None:
    wrapper = _staged(data, _DEAD)
    _exchange(wrapper, data)
    # The note says already what the wrapper is to become, and its name does not yet.
    note = {**wrapper.note(), "backup": "X", "replaced_at": 1, "tree": wrapper.tree.stat().st_ino}
    (wrapper.path / "note.json").write_text(json.dumps(note))
    beside.sweep(data)
    kept = beside.previous(data)
    assert kept is not None
    assert (kept.tree / "old").read_bytes() == b"old"
    assert kept.note()["backup"] == "X"


def test_an_undo_that_was_cut_short_is_not_done_twice(data: str) -> None:
    wrapper = _staged(data, myself())
    _exchange(wrapper, data)
    kept = beside.keep_as_previous(wrapper, data, {"backup": "X"})
    assert beside.previous(data) == kept
    _exchange(kept, data)
    assert beside.previous(data) is None
    assert len(beside.sweep(data)) == 1
    assert beside.wrappers(data) == [] and (Path(data) / "old").exists()


def test_a_removal_that_is_cut_short_leaves_no_previous_tree(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper = _wrapper(data, PREVIOUS, "20260101T000000Z")

    def cut_short(_wrapper: Wrapper) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(beside, "discard", cut_short)
        beside.remove(wrapper, data)
    assert beside.previous(data) is None
    assert [found.kind for found in beside.wrappers(data)] == [REMOVED]


def test_a_tree_that_waited_for_removal_goes(data: str) -> None:
    wrapper = _wrapper(data, REMOVED, "1767225600-1")
    assert beside.sweep(data) == [str(wrapper.path)]
    assert beside.wrappers(data) == []


_HOUR = 3600


@pytest.mark.parametrize(
    ("age", "max_age", "goes"),
    [
        pytest.param(100 * _HOUR, None, False, id="no age is given"),
        pytest.param(2 * _HOUR, _HOUR, True, id="over the age"),
        pytest.param(_HOUR, 2 * _HOUR, False, id="below the age"),
        pytest.param(1, 0, True, id="an age of zero"),
        pytest.param(-_HOUR, 0, False, id="of the future"),
    ],
)
def test_a_previous_tree_goes_only_over_an_age(data: str, age: int, max_age: int | None, goes: bool) -> None:
    wrapper = _wrapper(data, PREVIOUS, "20260101T000000Z", replaced_at=int(time.time()) - age)
    assert beside.sweep(data, max_age) == ([str(wrapper.path)] if goes else [])
    assert beside.wrappers(data) == ([] if goes else [wrapper])


def test_the_directory_itself_and_what_is_beside_it_stay(data: str) -> None:
    bystander = Path(data).with_name(".steward-note")
    bystander.write_bytes(b"x")
    for kind, mark in ((STAGING, _DEAD), (REMOVED, "1-1")):
        _wrapper(data, kind, mark)
    assert len(beside.sweep(data, 0)) == 2
    assert sorted(os.listdir(Path(data).parent)) == sorted([Path(data).name, bystander.name])


def test_a_place_that_is_not_there_has_nothing_beside_it(tmp_path: Path) -> None:
    assert beside.wrappers(str(tmp_path / "no" / "data")) == []
    assert beside.sweep(str(tmp_path / "no" / "data"), 0) == []


def test_removing_says_whether_it_went(data: str) -> None:
    wrapper = _wrapper(data, PREVIOUS, "20260101T000000Z")
    assert not beside.mounted_somewhere(wrapper)
    assert beside.remove(wrapper, data)
    assert beside.remove(wrapper, data)
    assert not wrapper.path.exists()
