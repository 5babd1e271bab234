# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between a tree and what is known of it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.steward.docker.plugins.module_utils._backup.compare import (
    SHOWN,
    Differences,
    compare,
    merge,
    order,
    same_but_content,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.entry import Entry, encode


def test_a_directory_comes_before_its_content_and_before_names_that_go_on() -> None:
    walk = [b"", b"a", b"a/b", b"a/b/c", b"a/b-c", b"a b", b"a-b", b"a.b", b"a/".rstrip(b"/") + b"0", b"b", b"\xff"]
    assert sorted(walk, key=order) == walk


def _file(path: bytes, **fields: Any) -> Entry:
    return Entry(path, "f", 0o644, **fields)


_A, _B, _C, _D = (_file(name) for name in (b"a", b"b", b"c", b"d"))
_B2 = _file(b"b", size=2)
_MERGED = {
    "nothing": ([], [], []),
    "equal": ([_A, _B], [_A, _B], []),
    "all new": ([_A, _B], [], ["+a", "+b"]),
    "all gone": ([], [_A, _B], ["-a", "-b"]),
    "one new before": ([_A, _B], [_B], ["+a"]),
    "one new behind": ([_A, _B], [_A], ["+b"]),
    "one gone before": ([_B], [_A, _B], ["-a"]),
    "one gone behind": ([_A], [_A, _B], ["-b"]),
    "one gone in the middle": ([_A, _C], [_A, _B, _C], ["-b"]),
    "two gone in the middle": ([_A, _D], [_A, _B, _C, _D], ["-b", "-c"]),
    "one for another": ([_A, _C], [_A, _B], ["-b", "+c"]),
    "one that changed": ([_A, _B2, _C], [_A, _B, _C], ["b"]),
    "a directory that is gone, beside a name that goes on": (
        [_file(b"a.b")],
        [Entry(b"a", "d"), _file(b"a/x"), _file(b"a.b")],
        ["-a", "-a/x"],
    ),
    "names that need escapes": ([_file(b"a\n"), _file(b"a\\")], [_file(b"a\t"), _file(b"a\\")], ["-a\t", "+a\n"]),
    "stray bytes": ([_file(b"\xff")], [_file(b"\xfe"), _file(b"\xff", size=1)], ["-\xfe", "\xff"]),
}


@pytest.mark.parametrize(("now", "then", "pairs"), _MERGED.values(), ids=_MERGED.keys())
def test_entries_are_paired_by_path_and_equal_ones_left_out(
    now: list[Entry], then: list[Entry], pairs: list[str]
) -> None:
    found = []
    for entry, line in merge(now, [encode(known) for known in then]):
        known = next((item for item in then if encode(item) == line), None)
        sign = "" if entry and known else "+" if entry else "-"
        assert entry is None or known is None or entry.path == known.path
        found.append(sign + (entry or known or Entry(b"?", "f")).path.decode("latin-1"))
    assert found == pairs


_SAME = Entry(b"f", "f", 0o644, 1, 2, 3, 4, sha256="a" * 64, ctime_ns=5, ino=6)
_SEEN = {
    "the inode": (_SAME, {"ino": 7}, True),
    "the time of its change": (_SAME, {"ctime_ns": 7}, True),
    "the digest": (_SAME, {"sha256": ""}, True),
    "the attributes of a file": (_SAME, {"xattrs": "x"}, True),
    "the mode": (_SAME, {"mode": 0o600}, False),
    "the owner": (_SAME, {"uid": 7}, False),
    "the group": (_SAME, {"gid": 7}, False),
    "the size": (_SAME, {"size": 7}, False),
    "the time of its content": (_SAME, {"mtime_ns": 7}, False),
    "the type": (_SAME, {"type": "p"}, False),
    "the target of a link": (Entry(b"l", "l", target=b"a"), {"target": b"b"}, False),
    "the device": (Entry(b"c", "c", rdev=1), {"rdev": 2}, False),
    "the time of a directory": (Entry(b"d", "d"), {"mtime_ns": 1, "size": 4096, "ctime_ns": 1, "ino": 2}, True),
    "the attributes of a directory": (Entry(b"d", "d"), {"xattrs": "x"}, False),
    "the mode of a directory": (Entry(b"d", "d"), {"mode": 0o700}, False),
}


@pytest.mark.parametrize(("entry", "fields", "same"), _SEEN.values(), ids=_SEEN.keys())
def test_what_can_be_seen_without_reading_is_compared(entry: Entry, fields: dict[str, Any], same: bool) -> None:
    assert same_but_content(entry._replace(**fields), entry) == same
    assert same_but_content(entry, entry._replace(**fields)) == same


@pytest.mark.parametrize(
    ("fields", "same"),
    [({}, True), ({"type": "f"}, True), ({"mtime_ns": 9}, False), ({"mode": 0o600}, False), ({"type": "d"}, False)],
    ids=["as it was", "seen as a file", "another time", "another mode", "a directory"],
)
def test_a_further_name_of_a_file_is_known_by_its_time_and_mode(fields: dict[str, Any], same: bool) -> None:
    known = Entry(b"h", "h", 0o644, mtime_ns=4, target=b"f")
    # A tree knows no first name: there, it is a file with a size like the other.
    now = Entry(b"h", "f", 0o644, size=3, mtime_ns=4)
    assert same_but_content(now._replace(**fields), known) == same


_KNOWN = [Entry(b"", "d", 0o755), Entry(b"d", "d", 0o755), _SAME]


@pytest.mark.parametrize(
    ("now", "settled", "words"),
    [
        pytest.param(_KNOWN, False, "no difference", id="equal ones are not settled"),
        pytest.param([*_KNOWN[:2], _SAME._replace(ino=9)], True, "no difference", id="settled as the same"),
        pytest.param([*_KNOWN[:2], _SAME._replace(ino=9)], False, "1 changed", id="settled as another"),
        pytest.param([*_KNOWN[:2], _SAME._replace(size=9)], True, "1 changed", id="another size needs no settling"),
        pytest.param([_KNOWN[0], _SAME], True, "1 removed", id="one is gone"),
        pytest.param([*_KNOWN, _file(b"g"), _file(b"h")], True, "2 added", id="two are new"),
        pytest.param([_KNOWN[0]._replace(mode=0o700), *_KNOWN[1:]], True, "1 changed", id="the root has changed"),
    ],
)
def test_a_tree_is_compared_with_what_is_known_of_it(now: list[Entry], settled: bool, words: str) -> None:
    assert str(compare(now, [encode(entry) for entry in _KNOWN], lambda _entry: settled)) == words


def test_only_what_cannot_be_told_otherwise_is_settled() -> None:
    asked: list[bytes] = []

    def settle(entry: Entry) -> bool:
        asked.append(entry.path)
        return True

    now = [_KNOWN[0], _KNOWN[1], _file(b"e"), _SAME._replace(ctime_ns=99), _file(b"g")]
    compare(now, [*map(encode, _KNOWN), encode(_file(b"g", size=1))], settle)
    assert asked == [b"f"]


def test_what_is_equal_is_not_settled_although_something_before_it_has_gone() -> None:
    then = [encode(entry) for entry in (_A, _C, _D, _SAME)]
    assert str(compare([_C, _D, _SAME], then, lambda _entry: False)) == "1 removed"


def test_the_root_is_named_as_a_dot() -> None:
    found = Differences()
    found.add("changed", b"")
    assert found.lines("changed") == ["."]


def test_no_differences_are_false_and_any_is_true() -> None:
    found = Differences()
    assert not found
    found.add("added", b"x")
    assert found
    assert str(found) == "1 added"


def test_many_differences_are_counted_and_named_in_part() -> None:
    found = Differences()
    for number in range(SHOWN + 2):
        found.add("removed", b"%d\n" % number)
    found.add("changed", b"x")
    assert str(found) == f"{SHOWN + 2} removed, 1 changed"
    assert found.lines("removed")[0] == r"0\n"
    assert found.lines("removed")[SHOWN:] == ["... and 2 more"]
    assert found.lines("changed") == ["x"]
    assert found.lines("added") == []
