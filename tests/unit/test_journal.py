# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: what is pending in it, and what becomes of its file."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.steward.docker.plugins.module_utils._backup.journal import (
    Header,
    Journal,
    Pending,
    directory,
    parse,
)
from ansible_collections.steward.docker.plugins.module_utils._errors import StewardError

if TYPE_CHECKING:
    from pathlib import Path

_HEADER = {"format": 1, "engine": "E", "job": "backup", "process": "m:b:1:2", "began": 7}


def _lines(*records: dict[str, Any]) -> list[bytes]:
    return [json.dumps(record).encode() + b"\n" for record in (_HEADER, *records)]


def _begin(key: str, **facts: Any) -> dict[str, Any]:
    return {"step": "begin", "what": "hold", "key": key, "facts": facts}


def _end(key: str) -> dict[str, Any]:
    return {"step": "end", "what": "hold", "key": key}


_PENDING = {
    "nothing": ([], []),
    "one": ([_begin("a", x=1)], [("a", {"x": 1})]),
    "one with further facts": ([_begin("a", x=1), _begin("a", y=2)], [("a", {"x": 1, "y": 2})]),
    "one that was ended": ([_begin("a"), _end("a")], []),
    "one begun again": ([_begin("a", x=1), _end("a"), _begin("a", y=2)], [("a", {"y": 2})]),
    "in their order": ([_begin("b"), _begin("a"), _begin("c"), _end("a")], [("b", {}), ("c", {})]),
    "an end without a beginning": ([_end("a")], []),
}


@pytest.mark.parametrize(("records", "expected"), _PENDING.values(), ids=_PENDING.keys())
def test_what_was_begun_and_not_ended_is_pending(records: list[dict[str, Any]], expected: list[Any]) -> None:
    header, pending = parse(_lines(*records))
    assert header == Header("E", "backup", "m:b:1:2", 7)
    assert pending == [Pending("hold", key, facts) for key, facts in expected]


def test_a_line_that_was_not_written_whole_says_nothing() -> None:
    lines = _lines(_begin("a"), _begin("b"))
    for length in range(len(lines[-1])):
        assert [item.key for item in parse([*lines[:-1], lines[-1][:length]])[1]] == ["a"]


_WRONG = {
    "nothing": [],
    "a first line that is not whole": [b'{"format": 1'],
    "no JSON": [b"{no\n"],
    "another format": [json.dumps({**_HEADER, "format": 2}).encode() + b"\n"],
    "a damaged line in the middle": [*_lines(), b"{no\n", *_lines(_begin("a"))[1:]],
}


@pytest.mark.parametrize("lines", _WRONG.values(), ids=_WRONG.keys())
def test_what_is_no_journal_is_said_to_be_none(lines: list[bytes]) -> None:
    with pytest.raises(ValueError):
        parse(lines)


def test_a_journal_is_written_when_something_begins_and_goes_when_all_is_ended(state: Path) -> None:
    opened: list[Path] = []
    journal = Journal("E", "backup", opened.append)
    assert not state.exists()
    journal.begin("hold", "a", x=1)
    (path,) = opened
    assert [item.key for item in parse(path.read_bytes().splitlines(keepends=True))[1]] == ["a"]
    assert path.stat().st_mode & 0o777 == 0o600
    journal.end("hold", "a")
    journal.close()
    assert list(directory().iterdir()) == []


def test_what_is_still_pending_stays_on_the_disk() -> None:
    journal = Journal("E", "backup", lambda _path: None)
    journal.begin("hold", "a", x=1)
    journal.close()
    (path,) = directory().iterdir()
    assert parse(path.read_bytes().splitlines(keepends=True))[1] == [Pending("hold", "a", {"x": 1})]


def test_nothing_is_begun_that_could_not_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal("E", "backup", lambda _path: None)
    journal.begin("hold", "a")
    (path,) = directory().iterdir()
    before = path.read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:5]))
    with pytest.raises(StewardError, match="No space left"):
        journal.begin("hold", "b")
    # What was written of the line is taken back, and an end that cannot be written stops nobody.
    assert path.read_bytes() == before
    journal.end("hold", "a")
    monkeypatch.undo()
    assert parse(path.read_bytes().splitlines(keepends=True))[1] == [Pending("hold", "a", {})]
