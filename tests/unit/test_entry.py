# SPDX-License-Identifier: GPL-3.0-or-later
"""An entry of a tree and its line."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.steward.docker.plugins.module_utils._backup.entry import Entry, decode, encode, path_of

_DIGEST = "ab" * 32
_ENTRIES = {
    "root": Entry(b"", "d", 0o755, 0, 0),
    "directory": Entry(b"a/b", "d", 0o1777, 999, 998, xattrs=_DIGEST),
    "file": Entry(b"a/f", "f", 0o640, 1, 2, 3, 4, 0, b"", _DIGEST, "cd" * 32, 5, 6),
    "empty file": Entry(b"f", "f", 0o644),
    "set-user-ID file": Entry(b"f", "f", 0o4755, size=1),
    "large numbers": Entry(
        b"f", "f", 0o644, 2**32 - 2, 2**32 - 2, 2**63 - 1, 2**63 - 1, ctime_ns=2**63 - 1, ino=2**64 - 1
    ),
    "before 1970": Entry(b"f", "f", 0o644, mtime_ns=-1_500_000_000),
    "symbolic link": Entry(b"l", "l", 0o777, size=6, mtime_ns=7, target=b"../a b", ino=8),
    "symbolic link to a stray byte": Entry(b"l", "l", 0o777, target=b"caf\xe9\t\n\\"),
    "hard link": Entry(b"h", "h", 0o644, 1, 2, 3, 4, target=b"a/f"),
    "character device": Entry(b"c", "c", 0o666, rdev=259),
    "block device": Entry(b"b", "b", 0o660, rdev=2**32 + 1, gid=6),
    "FIFO": Entry(b"p", "p", 0o600, mtime_ns=1),
    "socket": Entry(b"s", "s", 0o600, mtime_ns=1),
    "newline and tab": Entry(b"a\nb\tc\rd", "f"),
    "backslash": Entry(b"a\\nb", "f"),
    "stray bytes": Entry(b"\xff\xfe/\xc3", "f"),
    "letters": Entry("日本/é".encode(), "d"),
    "spaces around": Entry(b" a ", "f"),
}
_each = pytest.mark.parametrize("entry", _ENTRIES.values(), ids=_ENTRIES.keys())


@_each
def test_an_entry_comes_back_from_its_line(entry: Entry) -> None:
    assert decode(encode(entry)) == entry


@_each
def test_a_line_is_one_line_and_gives_its_path_alone(entry: Entry) -> None:
    line = encode(entry)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert line.count(b"\t") == len(Entry._fields) - 1
    assert path_of(line) == entry.path


def test_what_changes_with_every_temporary_file_is_not_in_the_line_of_a_directory() -> None:
    quiet = Entry(b"d", "d", 0o755, 1, 2)
    assert encode(quiet._replace(size=4096, mtime_ns=1, ctime_ns=2, ino=3)) == encode(quiet)


@pytest.mark.parametrize(
    "field",
    [field for field in Entry._fields if field not in ("rdev", "target", "type")],
)
def test_every_field_of_a_file_is_in_its_line(field: str) -> None:
    entry = _ENTRIES["file"]
    other: Any = {"path": b"x", "xattrs": "", "sha256": ""}.get(field, 77)
    assert encode(entry._replace(**{field: other})) != encode(entry)


_GOOD = encode(_ENTRIES["file"])


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\n", id="empty line"),
        pytest.param(b"f\t644\n", id="too few fields"),
        pytest.param(_GOOD[:-1] + b"\tmore\n", id="too many fields"),
        pytest.param(_GOOD.replace(b"640", b"9"), id="a mode that is not octal"),
        pytest.param(_GOOD.replace(b"\t3\t4\t", b"\tx\t4\t"), id="a size that is no number"),
        pytest.param(_GOOD.replace(b"\t3\t4\t", b"\t\t4\t"), id="a missing size"),
        pytest.param(_GOOD[:-3] + b"\\q\n", id="an escape that is none"),
        pytest.param(_GOOD[:-3] + b"\\xZZ\n", id="an escape that is not hexadecimal"),
        pytest.param(_GOOD[:-1], id="a line that was cut off"),
        pytest.param(b"?" + _GOOD[1:], id="an unknown type"),
    ],
)
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode(line)
