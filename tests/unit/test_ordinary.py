# SPDX-License-Identifier: GPL-3.0-or-later
"""The short way through a tar stream: what it takes is what care would have found, and what is unusual it leaves."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from tar_blocks import END, member, pax, record

from ansible_collections.steward.docker.plugins.module_utils._backup import tarstream
from ansible_collections.steward.docker.plugins.module_utils._backup.ordinary import ordinary_files
from ansible_collections.steward.docker.plugins.module_utils._errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable

_TIME = record(b"mtime", b"1700000000.123456789")
_PAX = pax(_TIME)
_FILE = member(b"./file", content=b"content")

_ORDINARY = {
    "a file": _FILE,
    "a file with its time": _PAX + _FILE,
    "a time with a short fraction": pax(record(b"mtime", b"1700000000.5")) + _FILE,
    "a time of zero": pax(record(b"mtime", b"0.0")) + _FILE,
    "an empty file": _PAX + member(b"./empty"),
    "a file of one block": _PAX + member(b"./block", content=b"b" * 512),
    "a file of a block and a byte": member(b"./more", content=b"b" * 513),
    "a name of 99 bytes": member(b"./" + b"n" * 97),
    "a name deep down": member(b"./a/b/.c"),
    "a name with a slash too many": member(b"./a//b"),
    "a name that is no text": member(b"./caf\xe9\n"),
    "set-id bits": _PAX + b"".join((_FILE[:100], b"0104755", _FILE[107:])),
}

_UNUSUAL = {
    "nothing": b"",
    "a directory": _PAX + member(b"./sub/", b"5"),
    "a directory of the old form": member(b"./sub/"),
    "a link": member(b"./link", b"2", link=b"file"),
    "a hard link": member(b"./hard", b"1", link=b"./file"),
    "the old mark of a file": member(b"./file", b"\0", b"content"),
    "a name of a hundred bytes": member(b"./" + b"n" * 98),
    "a name without a dot": member(b"file"),
    "an absolute name": member(b"/file"),
    "a name of a dot": member(b"./."),
    "a name of two dots": member(b"./.."),
    "a name that goes up": member(b"./../file"),
    "a name with two dots and slashes": member(b"././file"),
    "a name with two slashes": member(b".//file"),
    "a hidden name": member(b"./.file"),
    "no name": member(b"./"),
    "a prefix of the name": _FILE[:345] + b"prefix" + _FILE[351:],
    "a number that ends in a space": _FILE[:100] + b"000644 \0" + _FILE[108:],
    "a number of eight digits": _FILE[:108] + b"00000001" + _FILE[116:],
    "a number in base-256": _FILE[:108] + b"\x80\0\0\0\xee\x6b\x28\0" + _FILE[116:],
    "a size that ends in a space": member(b"./file", content=b"content", size=b"0000000007 "),
    "a size in base-256": member(b"./file", size=(7 | 0x80 << 88).to_bytes(12, "big")) + b"content".ljust(512, b"\0"),
    "a time below zero": pax(record(b"mtime", b"-1.5")) + _FILE,
    "a time without a fraction": pax(record(b"mtime", b"1700000000")) + _FILE,
    "a time with a long fraction": pax(record(b"mtime", b"1.1234567891")) + _FILE,
    "a record before the time": pax(record(b"uid", b"4000000000"), _TIME) + _FILE,
    "a record behind the time": pax(_TIME, record(b"uid", b"4000000000")) + _FILE,
    "a path behind the time": pax(_TIME, record(b"path", b"other")) + _FILE,
    "a null byte behind the time": pax(_TIME + b"\0") + _FILE,
    "a record longer than its line": pax(b"32 mtime=1700000000.123456789\nx\n") + _FILE,
    "a record longer than the header": pax(b"99 mtime=1700000000.123456789\n") + _FILE,
    "a record shorter than its line": pax(b"10 mtime=1700000000.123456789\n") + _FILE,
    "a header that ends in its record": member(b"x", b"x", _TIME, size=b"00000000024") + _FILE,
    "a time for all": pax(_TIME, kind=b"g") + _FILE,
    "two times": _PAX + pax(record(b"mtime", b"1.5")) + _FILE,
    "a long name behind the time": _PAX + member(b"l", b"L", b"long\0") + _FILE,
}


def _without_a_short_way(_data: bytes, _position: int) -> list[object]:
    return []


def _outcome(stream: bytes, chunk: int, *, wanted: bool) -> tuple[list[object], bytes, str]:
    """Return the calls that following a stream led to, what it let pass, and how it ended."""
    calls: list[object] = []
    passed = b""
    choose: Callable[[bytes], bool] | None = (lambda path: b"e" in path) if wanted else None
    follower = tarstream.Follower(
        calls.append, wanted=choose, judge=lambda entry: calls.append(entry._replace(sha256=""))
    )
    try:
        for position in range(0, len(stream), chunk):
            passed += follower.feed(stream[position : position + chunk])
        follower.close()
    except ArchiveError as error:
        return calls, passed, str(error)
    return [*calls, follower.members, follower.position], passed, ""


def _agree(monkeypatch: pytest.MonkeyPatch, stream: bytes, *chunks: int) -> None:
    for wanted in (False, True):
        for chunk in chunks:
            short = _outcome(stream, chunk, wanted=wanted)
            with monkeypatch.context() as patch:
                patch.setattr(tarstream, "ordinary_files", _without_a_short_way)
                assert short == _outcome(stream, chunk, wanted=wanted)


@pytest.mark.parametrize("stream", _ORDINARY.values(), ids=_ORDINARY.keys())
def test_an_ordinary_file_is_taken_once_it_is_whole(stream: bytes) -> None:
    assert [after for _entry, after in ordinary_files(stream + END, 0)] == [len(stream)]
    assert [after for _entry, after in ordinary_files(_FILE + stream + stream, len(_FILE))] == [
        len(_FILE + stream),
        len(_FILE + stream + stream),
    ]
    for length in (0, 511, 512, len(stream) - 512, len(stream) - 1):
        assert list(ordinary_files(stream[: min(length, len(stream) - 1)], 0)) == []


@pytest.mark.parametrize("stream", _UNUSUAL.values(), ids=_UNUSUAL.keys())
def test_what_is_unusual_is_left(stream: bytes) -> None:
    assert list(ordinary_files(stream + END, 0)) == []


@pytest.mark.parametrize("stream", [*_ORDINARY.values(), *_UNUSUAL.values()], ids=[*_ORDINARY, *_UNUSUAL])
def test_both_ways_agree(monkeypatch: pytest.MonkeyPatch, stream: bytes) -> None:
    whole = _FILE + stream + _PAX + _FILE + stream + member(b"./last") + END
    _agree(monkeypatch, whole, 1, 511, 512, 513, 1536, 4096, len(whole))


def test_both_ways_agree_on_any_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(1)
    forms = [*_ORDINARY.values(), *_UNUSUAL.values()]
    for _round in range(200):
        _agree(monkeypatch, b"".join(chance.choices(forms, k=8)) + END, chance.randrange(1, 5000), 1 << 20)


def test_both_ways_agree_on_damage_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(2)
    whole = _PAX + _FILE + _FILE + _PAX + _FILE + END
    headers = [*range(1536), *range(2048, 2560)]
    for position in chance.sample(headers, 500) + [*range(1024, 1060), *range(1124, 1162), *range(100, 160)] * 2:
        damaged = whole[:position] + bytes([chance.choice(b"\0 /.01789x\x80\xff")]) + whole[position + 1 :]
        _agree(monkeypatch, damaged, len(damaged))
