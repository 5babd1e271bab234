# SPDX-License-Identifier: GPL-3.0-or-later
"""What changed in a tree while it was read: tar's words, and the walk against the index."""

from __future__ import annotations

import pytest

from ansible_collections.steward.docker.plugins.module_utils._backup.entry import Entry, encode
from ansible_collections.steward.docker.plugins.module_utils._backup.meanwhile import SHOWN, Meanwhile

_WORDS = {
    "tar: ./a: file changed as we read it": (["a"], []),
    "tar: ./d/: file changed as we read it": (["d"], []),
    "tar: .: file changed as we read it": (["."], []),
    "tar: ./a: File removed before we read it": ([], ["a"]),
    "tar: ./a: File shrank by 7 bytes; padding with zeros": (["a"], []),
    "tar: ./a: Cannot open: Too many levels of symbolic links": (["a"], []),
    "tar: ./a: Cannot open: Not a directory": (["a"], []),
    "tar: ./a: Cannot readlink: Invalid argument": (["a"], []),
    r"tar: ./a\\b\nc\377: file changed as we read it": ([r"a\\b\nc\xff"], []),
    "tar: ./..a: file changed as we read it": (["..a"], []),
    "tar: ./x: File removed before we read it: file changed as we read it": (
        ["x: File removed before we read it"],
        [],
    ),
}


@pytest.mark.parametrize(("line", "found"), _WORDS.items(), ids=_WORDS.keys())
def test_the_words_of_tar(line: str, found: tuple[list[str], list[str]]) -> None:
    meanwhile = Meanwhile()
    assert meanwhile.hear([line, "tar: Exiting with failure status due to previous errors"]) == []
    assert (meanwhile.names["changed"], meanwhile.names["vanished"]) == found


def test_what_tar_could_not_read_is_no_change() -> None:
    meanwhile = Meanwhile()
    said = ["tar: ./a: Cannot open: Permission denied", "tar: ./b: Read error at byte 0, while reading 7 bytes: EIO"]
    assert meanwhile.hear(said) == said
    assert not meanwhile


def _file(path: bytes, **fields: int) -> Entry:
    return Entry(path, "f", 0o644, **fields)


_ROOT = Entry(b"", "d", 0o755)
_A = _file(b"a", size=1, mtime_ns=5)
_PAIRS = {
    "the same, of which one knows inodes and the other digests": (
        [_ROOT, _A._replace(ctime_ns=9, ino=7)],
        [_ROOT, _A._replace(sha256="0" * 64, xattrs="x")],
        [],
        [],
    ),
    "a further name of a file": (
        [_A, _A._replace(path=b"b")],
        [_A, Entry(b"b", "h", 0o644, mtime_ns=5, target=b"a")],
        [],
        [],
    ),
    "another size": ([_A], [_A._replace(size=2)], ["a"], []),
    "another time": ([_A], [_A._replace(mtime_ns=6)], ["a"], []),
    "another type": ([_A], [Entry(b"a", "p", 0o644, mtime_ns=5)], ["a"], []),
    "another target": ([Entry(b"l", "l", target=b"a")], [Entry(b"l", "l", target=b"b")], ["l"], []),
    "attributes of a directory": ([_ROOT], [_ROOT._replace(xattrs="x")], ["."], []),
    "gone": ([_ROOT, _A, _file(b"b")], [_ROOT, _file(b"b")], [], ["a"]),
    "gone at the end": ([_ROOT, _A], [_ROOT], [], ["a"]),
    "new": ([_ROOT, _file(b"b")], [_ROOT, _A, _file(b"b"), _file(b"c")], ["a", "c"], []),
    "where something is mounted": ([_ROOT], [_ROOT, Entry(b"mounted", "d", 0o755)], [], []),
}


@pytest.mark.parametrize(("walk", "index", "changed", "vanished"), _PAIRS.values(), ids=_PAIRS.keys())
def test_the_walk_before_is_held_against_the_index_after(
    walk: list[Entry], index: list[Entry], changed: list[str], vanished: list[str]
) -> None:
    meanwhile = Meanwhile()
    meanwhile.look_back(map(encode, walk), map(encode, index), {b"mounted"})
    assert meanwhile.names == {"changed": changed, "vanished": vanished}
    assert bool(meanwhile) == bool(changed or vanished)


def test_each_is_counted_once_and_the_first_are_named() -> None:
    meanwhile = Meanwhile()
    for number in range(50):
        meanwhile.add("changed", b"%d" % number)
        meanwhile.add("vanished", b"%d" % number)
    assert meanwhile.counts == {"changed": 50, "vanished": 0}
    assert len(meanwhile.names["changed"]) == SHOWN
    assert str(meanwhile) == "50 entries changed (0, 1, 2, ...)"
