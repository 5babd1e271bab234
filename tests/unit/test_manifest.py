# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of a backup and its times."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from builders import manifest

from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import (
    FORMAT,
    Manifest,
    Subject,
    format_time,
    from_json,
    now,
    parse_time,
)
from ansible_collections.steward.docker.plugins.module_utils._errors import StoreError

_FULL: dict[str, Any] = {
    "lost": ["xattrs"],
    "volume": {"driver": "local", "labels": {"a": "b"}, "options": {}},
    "anonymous": {"container": "c", "destination": "/d"},
    "group": "g",
    "quiesced": [{"name": "c", "seconds": 1.5}],
    "consistent": False,
    "changed_while_read": ["a\\nb"],
    "exclude_paths": ["*.tmp", "é"],
    "shrink_accepted": True,
    "warnings": ["w"],
    "name": os.fsdecode(b"caf\xe9"),
}


@pytest.mark.parametrize("fields", [{}, _FULL], ids=["with defaults", "with all"])
def test_a_manifest_comes_back(fields: dict[str, Any]) -> None:
    made = manifest(**fields)
    assert from_json(made.to_json(), "m.json") == made


def test_a_manifest_says_what_it_is_of() -> None:
    made = manifest(archive={"name": "a", "bytes": 7})
    assert (made.subject, made.stored) == (Subject("web1", "volumes", "data"), 7)
    assert str(made.subject) == "the volume data"
    assert str(Subject("web1", "binds", "/srv")) == "the directory /srv"


def test_a_field_that_a_later_version_added_is_passed_over() -> None:
    found = json.loads(manifest().to_json())
    assert from_json(json.dumps({**found, "later": 1}).encode(), "m.json") == manifest()


@pytest.mark.parametrize("field", ["group", "warnings", "sockets", "user_mapping", "shrink_accepted"])
def test_a_field_with_a_default_may_be_missing(field: str) -> None:
    found = json.loads(manifest().to_json())
    del found[field]
    assert from_json(json.dumps(found).encode(), "m.json") == manifest()


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"null", b"[]", b'"text"', b"{}", b"\xff\xfe", manifest().to_json()[:-20]],
    ids=["empty", "cut off", "null", "list", "text", "no fields", "no UTF-8", "cut off at the end"],
)
def test_what_is_no_manifest_is_refused_with_its_path(data: bytes) -> None:
    with pytest.raises(StoreError, match=r"^The manifest /store/m\.json is damaged: "):
        from_json(data, "/store/m.json")


@pytest.mark.parametrize("form", [0, FORMAT + 1, "1", None])
def test_an_unknown_format_is_refused_and_named(form: object) -> None:
    with pytest.raises(StoreError, match=f"its format is {form}, and {FORMAT} is known here"):
        from_json(json.dumps({**json.loads(manifest().to_json()), "format": form}).encode(), "m.json")


_ARCHIVE = {"name": "a.tar", "bytes": 1}
_WRONG: dict[str, dict[str, Any]] = {
    "an archive elsewhere": {"archive": {**_ARCHIVE, "name": "../other/a.tar"}},
    "an archive above": {"archive": {**_ARCHIVE, "name": ".."}},
    "an archive without a name": {"archive": {"bytes": 1}},
    "an archive with an empty name": {"archive": {**_ARCHIVE, "name": ""}},
    "an archive with a number for a name": {"archive": {**_ARCHIVE, "name": 1}},
    "an archive without bytes": {"archive": {"name": "a"}},
    "an archive whose bytes are text": {"archive": {**_ARCHIVE, "bytes": "1"}},
    "an archive that is none": {"archive": "a.tar"},
    "an index elsewhere": {"index": {"name": "/etc/passwd"}},
    "an index that is none": {"index": None},
    "an ID with a slash": {"id": "../x"},
    "an ID that is a number": {"id": 1},
    "a sequence that is text": {"sequence": "1"},
    "files that are a fraction": {"files": 1.5},
    "a size that is nothing": {"size": None},
    "a time that is none": {"created_at": "yesterday"},
    "a time that is a number": {"created_at": 1},
    "a time of confirmation that is nothing": {"confirmed_at": None},
}


@pytest.mark.parametrize("fields", _WRONG.values(), ids=_WRONG.keys())
def test_a_manifest_with_a_wrong_field_is_refused(fields: dict[str, Any]) -> None:
    data = json.dumps({**json.loads(manifest().to_json()), **fields}).encode()
    with pytest.raises(StoreError, match="is damaged"):
        from_json(data, "m.json")


@pytest.mark.parametrize(
    "field", ["id", "sequence", "created_at", "host", "archive", "index", "files", "road", "format"]
)
def test_a_manifest_without_a_needed_field_is_refused(field: str) -> None:
    found = json.loads(manifest().to_json())
    del found[field]
    with pytest.raises(StoreError, match="is damaged"):
        from_json(json.dumps(found).encode(), "m.json")


_MOMENT = datetime(2026, 11, 23, 15, 16, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T15:16:17Z", _MOMENT),
        (" 2026-11-23T15:16:17Z\n", _MOMENT),
        ("2026-11-23 15:16:17", _MOMENT),
        ("2026-11-23T17:16:17+02:00", _MOMENT),
        ("2026-11-23T15:16", _MOMENT.replace(second=0)),
        ("2026-11-23", _MOMENT.replace(hour=0, minute=0, second=0)),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment
    assert parse_time(text).tzinfo is not None


@pytest.mark.parametrize("text", ["", "Z", "noon", "2026-13-01", "2026-11-23T25:00:00Z"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


def test_times_are_written_in_utc() -> None:
    assert format_time(_MOMENT) == "2026-11-23T15:16:17Z"
    assert format_time(_MOMENT.astimezone(timezone(timedelta(hours=-9)))) == "2026-11-23T15:16:17Z"


def test_the_present_time_comes_back_from_its_text() -> None:
    moment = now()
    assert parse_time(format_time(moment)) == moment


def test_two_manifests_do_not_share_their_lists() -> None:
    one, other = manifest(), manifest()
    one.warnings.append("w")
    assert isinstance(other, Manifest)
    assert other.warnings == []
