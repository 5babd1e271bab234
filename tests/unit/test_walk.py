# SPDX-License-Identifier: GPL-3.0-or-later
"""A walk of a tree that changes under it stays in the tree, and ends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ansible_collections.steward.docker.plugins.module_utils._backup.tree import (
    Walk,
    content_digest,
    refuse_replaced,
    same_file,
)
from ansible_collections.steward.docker.plugins.module_utils._errors import TreeError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a tree, beside which there is something that is no part of it."""
    for place in ("tree/a", "tree/b", "outside"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "file").write_text(place)
        (tmp_path / place / place.replace("/", " ")).write_text(place)
    return tmp_path / "tree"


def test_a_directory_that_becomes_a_link_has_vanished(tree: Path) -> None:
    walk = Walk(str(tree))
    paths = []
    for entry in walk:
        paths.append(entry.path)
        if entry.path == b"a":
            (tree / "b").rename(tree.parent / "away")
            (tree / "b").symlink_to(tree.parent / "outside")
    # It was looked at after the exchange: a link, and no more.
    assert paths == [b"", b"a", b"a/file", b"a/tree a", b"b"]
    assert walk.directories == 2


def test_a_directory_that_is_moved_away_in_the_middle_leads_nowhere(tree: Path) -> None:
    paths = []
    for entry in Walk(str(tree)):
        paths.append(entry.path)
        if entry.path == b"a":
            (tree / "a").rename(tree.parent / "outside" / "a")
    # What was opened inside is read to its end; from there nothing goes up into the place that it came to.
    assert paths == [b"", b"a", b"a/file", b"a/tree a", b"b", b"b/file", b"b/tree b"]


def test_what_vanishes_in_the_middle_is_noted(tree: Path) -> None:
    walk = Walk(str(tree))
    for entry in walk:
        if entry.path == b"a":
            (tree / "a" / "file").unlink()
    assert walk.vanished == [b"a/file"]


def test_a_root_that_is_a_link_is_not_walked(tree: Path) -> None:
    (tree.parent / "link").symlink_to(tree)
    with pytest.raises(TreeError, match="link"):
        list(Walk(str(tree.parent / "link")))


def test_a_root_that_was_replaced_is_noticed(tree: Path) -> None:
    walk = Walk(str(tree))
    list(walk)
    refuse_replaced(str(tree), walk)
    tree.rename(tree.parent / "away")
    with pytest.raises(TreeError, match="again"):
        refuse_replaced(str(tree), walk)
    tree.mkdir()
    with pytest.raises(TreeError, match="replaced"):
        refuse_replaced(str(tree), walk)


def test_what_a_file_has_become_is_not_read(tree: Path) -> None:
    entry = next(entry for entry in Walk(str(tree)) if entry.path == b"a/file")
    assert content_digest(str(tree), entry, "") != ""
    (tree / "a" / "file").unlink()
    assert content_digest(str(tree), entry, "") == ""
    (tree / "a" / "file").symlink_to(tree.parent / "outside" / "file")
    assert content_digest(str(tree), entry, "") == ""
    (tree / "a" / "file").unlink()
    os.mkfifo(tree / "a" / "file")
    # Not even when it claims to be the same: nobody waits for a writer.
    claims = entry._replace(ino=(tree / "a" / "file").stat().st_ino)
    assert content_digest(str(tree), claims, "") == ""
    (tree / "a").rename(tree / "c")
    (tree / "a").symlink_to(tree.parent / "outside")
    claims = entry._replace(ino=(tree.parent / "outside" / "file").stat().st_ino)
    assert content_digest(str(tree), claims, "") == ""


def test_names_of_one_file_are_not_looked_for_behind_links(tree: Path) -> None:
    os.link(tree / "a" / "file", tree / "b" / "twin")
    assert same_file(str(tree), b"a/file", b"b/twin")
    assert not same_file(str(tree), b"a/file", b"b/file")
    (tree / "link").symlink_to("a")
    assert not same_file(str(tree), b"link/file", b"b/twin")
