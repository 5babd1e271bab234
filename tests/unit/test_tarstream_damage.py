# SPDX-License-Identifier: GPL-3.0-or-later
"""What the follower of a tar stream refuses, and that it never takes a stream for another one than tar does."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING, NoReturn

import pytest
from tar_blocks import END, member, negative, pax, record

from ansible_collections.steward.docker.plugins.module_utils._backup.tarstream import Follower
from ansible_collections.steward.docker.plugins.module_utils._errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.steward.docker.plugins.module_utils._backup.entry import Entry

_FILE = member(b"good", content=b"content")


@pytest.fixture(autouse=True)
def _within_some_seconds() -> Iterator[None]:
    """End a test that goes round in circles."""

    def end(_number: int, _frame: object) -> NoReturn:
        pytest.fail("it went on and on")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 3)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def _follow(stream: bytes, chunk: int = 1 << 30, *, checksums: bool = True) -> list[Entry]:
    found: list[Entry] = []
    follower = Follower(found.append, checksums=checksums)
    for position in range(0, len(stream), chunk):
        follower.feed(stream[position : position + chunk])
    follower.close()
    return found


def _flipped(header: bytes, position: int) -> bytes:
    return header[:position] + bytes([header[position] ^ 1]) + header[position + 1 :]


_DAMAGED = {
    "no tar at all": b"This is no archive. " * 100,
    "a flipped bit in a name": _flipped(_FILE, 2),
    "a flipped bit in the checksum": _flipped(_FILE, 150),
    "a flipped bit in a pax header": _flipped(pax(record(b"path", b"x")), 2) + _FILE,
    "a size that is no number": member(b"a", size=b"12x4"),
    "a size with a digit too many": member(b"a", size=b"00000000008"),
    "a size below zero in base-256": member(b"a", size=negative(-512)),
    "a size below zero in base-256, not of whole blocks": member(b"a", size=negative(-5)),
    "a size below zero in octal": member(b"a", size=b"-0000001000"),
    "a size below zero in a pax header": member(b"z") + pax(record(b"size", b"-512")) + member(b"a"),
    "a pax header with a size below zero": member(b"z") + member(b"a", b"x", size=negative(-1024)),
    "a pax header with a size of one block below zero": member(b"z") + member(b"a", b"x", size=negative(-512)),
    "a pax header larger than any": member(b"a", b"x", size=b"77777777777"),
    "a pax record without a length": pax(b"path=x\n") + _FILE,
    "a pax record of length zero": pax(b"0 path=x\n") + _FILE,
    "a pax record with a length below zero": pax(b"-9 path=x\n") + _FILE,
    "a pax record without a value": pax(b"8 pathx\n") + _FILE,
    "a pax record longer than the header": pax(b"999 path=x\n") + _FILE,
    "a pax record that does not end with its line": pax(b"10 path=x.") + _FILE,
    "a pax time that is none": pax(record(b"mtime", b"noon")) + _FILE,
    "a pax size that is none": pax(record(b"size", b"big")) + _FILE,
    "an unknown type": member(b"a", b"Z"),
    "a map of a sparse file that is none": pax(
        record(b"GNU.sparse.major", b"1"), record(b"GNU.sparse.minor", b"0"), record(b"GNU.sparse.realsize", b"9")
    )
    + member(b"a", content=b"one\ntwo\n" + b"\0" * 504),
}


@pytest.mark.parametrize("stream", _DAMAGED.values(), ids=_DAMAGED.keys())
@pytest.mark.parametrize("chunk", [1, 513, 1 << 30], ids=["1", "513", "one piece"])
def test_a_damaged_header_is_refused(stream: bytes, chunk: int) -> None:
    with pytest.raises(ArchiveError):
        _follow(_FILE + stream + END, chunk)


@pytest.mark.parametrize("chunk", [1, 511, 512, 513, 1 << 30], ids=["1", "511", "512", "513", "one piece"])
def test_the_place_of_the_damage_is_named_however_the_stream_comes(chunk: int) -> None:
    with pytest.raises(ArchiveError, match="no readable header at byte 1024 of tar"):
        _follow(_FILE + member(b"a", b"Z") + END, chunk)


_WHOLE = _FILE + pax(record(b"path", b"x")) + member(b"a", content=b"y" * 600) + END


@pytest.mark.parametrize(
    "length",
    [
        pytest.param(0, id="nothing"),
        pytest.param(100, id="inside of the first header"),
        pytest.param(512, id="before content"),
        pytest.param(515, id="inside of content"),
        pytest.param(519, id="before padding"),
        pytest.param(1024, id="after a member"),
        pytest.param(1536, id="inside of a pax header"),
        pytest.param(2048, id="after a pax header"),
        pytest.param(len(_WHOLE) - 1024, id="before the end"),
        pytest.param(len(_WHOLE) - 512, id="inside of the end"),
        pytest.param(len(_WHOLE) - 1, id="one byte before the last"),
    ],
)
def test_a_stream_that_ends_in_the_middle_is_refused(length: int) -> None:
    with pytest.raises(ArchiveError, match=f"ends in the middle, after {length} bytes"):
        _follow(_WHOLE[:length])


def test_the_end_may_be_followed_by_zeros_only_to_fill_a_record() -> None:
    assert len(_follow(_WHOLE + b"\0" * 10240)) == 2


def test_a_wrong_checksum_passes_where_the_whole_is_hashed_anyway() -> None:
    assert len(_follow(_flipped(_FILE, 150) + END, checksums=False)) == 1


_UNUSUAL = {
    "a long name before a pax path": member(b"l", b"L", b"from-long\0") + pax(record(b"path", b"from-pax")) + _FILE,
    "a long name after a pax path": pax(record(b"path", b"from-pax")) + member(b"l", b"L", b"from-long\0") + _FILE,
    "a pax path with a null byte": pax(record(b"path", b"link\0x")) + _FILE,
    "a pax path twice": pax(record(b"path", b"one"), record(b"path", b"two")) + _FILE,
    "two pax headers": pax(record(b"path", b"one")) + pax(record(b"mtime", b"1")) + _FILE,
    "a pax path for all": pax(record(b"path", b"all"), kind=b"g") + _FILE + member(b"b"),
    "a pax path for one among all": pax(record(b"path", b"all"), kind=b"g") + pax(record(b"path", b"one")) + _FILE,
    "a pax header cut by a null byte": pax(record(b"path", b"one") + b"\0" + record(b"path", b"two")) + _FILE,
    "a long name with a null byte": member(b"l", b"L", b"one\0two\0") + _FILE,
    "a pax size beside another": pax(record(b"size", b"512")) + member(b"a") + member(b"b") + member(b"c"),
    "one block of zeros between members": _FILE + b"\0" * 512 + member(b"b"),
    "a hard link with a size": _FILE + member(b"h", b"1", link=b"good", size=b"00000001000") + member(b"b"),
    "a directory with a size": member(b"d/", b"5", size=b"00000001000") + member(b"b"),
    "a size with spaces": member(b"a", size=b"     7 ") + b"content".ljust(512, b"\0") + member(b"b"),
    "a size with an underscore": member(b"a", size=b"0000000_007") + b"content".ljust(512, b"\0") + member(b"b"),
    "a name of a hundred bytes": member(b"n" * 100) + member(b"b"),
    "the name of GNU where ustar has a prefix": member(b"a", magic=b"ustar  \0"),
    "a name for a sparse file of one that is none": pax(record(b"GNU.sparse.name", b"sparse")) + _FILE,
}


@pytest.mark.parametrize("stream", _UNUSUAL.values(), ids=_UNUSUAL.keys())
def test_an_unusual_stream_is_refused_or_taken_as_tar_takes_it(stream: bytes) -> None:
    # What was judged has to be what tar extracts; else a hostile archive shows one name to each.
    listed = subprocess.run(["tar", "-t", "-f", "-"], input=stream + END, capture_output=True, check=False).stdout
    try:
        found = _follow(stream + END)
    except ArchiveError:
        return
    assert [entry.path for entry in found] == [name.rstrip(b"/") for name in listed.splitlines()]


def test_the_unusual_streams_are_not_all_refused() -> None:
    assert [entry.path for entry in _follow(_UNUSUAL["a pax path for all"] + END)] == [b"all", b"all"]
    assert [entry.path for entry in _follow(_UNUSUAL["a pax path twice"] + END)] == [b"two"]
