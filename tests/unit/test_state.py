# SPDX-License-Identifier: GPL-3.0-or-later
"""Private files of the host's state, and who wrote them."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from ansible_collections.steward.docker.plugins.module_utils._errors import StewardError
from ansible_collections.steward.docker.plugins.module_utils._process import myself
from ansible_collections.steward.docker.plugins.module_utils._state import (
    hashed_name,
    owner_of_temporary,
    private_directory,
    state_dir,
    temporary_name,
    write_private,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _generous_umask() -> Iterator[None]:
    """Let nothing be private by chance."""
    before = os.umask(0)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_the_state_is_where_the_environment_says_and_looking_does_not_make_it(state: Path) -> None:
    assert state_dir() == state
    assert not state.exists()
    assert _mode(private_directory(state_dir())) == 0o700


def test_a_directory_is_made_with_those_above_it(tmp_path: Path) -> None:
    made = private_directory(tmp_path / "a" / "b" / "c")
    assert [_mode(path) for path in (made, made.parent, made.parent.parent)] == [0o700] * 3


def test_a_directory_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o755)
    (tmp_path / "d" / "f").write_bytes(b"x")
    private_directory(tmp_path / "d")
    assert _mode(tmp_path / "d") == 0o755
    assert (tmp_path / "d" / "f").exists()


def test_a_file_in_the_place_of_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StewardError, match=f"Could not make the directory {path}"):
            private_directory(path)


@pytest.mark.parametrize("before", [None, b"", b"a longer text than the new one"], ids=["new", "empty", "longer"])
def test_a_file_is_replaced_as_a_whole_and_private(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
        path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert _mode(path) == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    write_private(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_bytes() == b"old"
    assert not (tmp_path / "link").is_symlink()


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    temporary_name(tmp_path / "file").symlink_to("target")
    with pytest.raises(OSError):
        write_private(tmp_path / "file", b"new")
    assert (tmp_path / "target").read_bytes() == b"old"


def test_a_file_that_could_not_be_replaced_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError):
        write_private(tmp_path / "directory", b"new")
    assert os.listdir(tmp_path) == ["directory"]


@pytest.mark.parametrize("name", ["x.json", "a@b", "@", ".tmp-x"])
def test_a_temporary_name_says_whose_it_is_and_what_it_becomes(tmp_path: Path, name: str) -> None:
    temporary = temporary_name(tmp_path / name)
    assert temporary.parent == tmp_path
    assert temporary.name.startswith(".")
    assert owner_of_temporary(temporary.name) == (myself(), name)


@pytest.mark.parametrize("name", ["x.json", "tmp-m:b:1:2@x", ".tmp-", ".tmp-@x", ".tmp-m:b:1@x", ".tmp-m:b:x:2@x"])
def test_another_name_has_no_owner(name: str) -> None:
    assert owner_of_temporary(name)[0] is None


def test_hashed_names_are_file_names_and_differ_where_the_parts_do() -> None:
    parts = [("ab", "c"), ("a", "bc"), ("abc",), ("a", "b", "c"), ("",), ("", ""), ("../x/\n",), ("\udce9",), ("é",)]
    names = [hashed_name(*each) for each in parts]
    assert len(set(names)) == len(parts)
    assert {len(name) for name in names} == {32}
    assert all(name.isalnum() for name in names)
