# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for whatever comes: names, lines, globs and retention."""

from __future__ import annotations

import io
import tarfile
from datetime import UTC, datetime, timedelta

from builders import manifest
from hypothesis import given
from hypothesis import strategies as some

from ansible_collections.steward.docker.plugins.module_utils._backup.entry import Entry, decode, encode, path_of
from ansible_collections.steward.docker.plugins.module_utils._backup.exclude import Excludes
from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import format_time
from ansible_collections.steward.docker.plugins.module_utils._backup.retention import plan_retention
from ansible_collections.steward.docker.plugins.module_utils._backup.tarstream import Follower
from ansible_collections.steward.docker.plugins.module_utils._errors import ArchiveError
from ansible_collections.steward.docker.plugins.module_utils._names import (
    escape_path,
    printable,
    unescape_path,
    unprintable,
)

_NAMES = some.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name)
_NUMBERS = some.integers(min_value=0, max_value=2**63)
_START = datetime(2026, 1, 1, tzinfo=UTC)


@given(_NAMES)
def test_every_name_is_printed_and_read_back(name: bytes) -> None:
    text = printable(name)
    text.encode("utf-8")
    assert "\n" not in text and "\t" not in text
    assert unprintable(text) == name


@given(_NAMES)
def test_every_path_is_escaped_into_one_name_and_read_back(name: bytes) -> None:
    path = b"/" + b"/".join(part for part in name.split(b"/") if part)
    escaped = escape_path(path)
    assert "/" not in escaped and escaped not in ("", ".", "..") and not escaped.startswith(".")
    assert unescape_path(escaped).encode("utf-8", "surrogateescape") == path


@given(_NAMES, some.sampled_from("flcbph"), _NAMES, _NUMBERS, _NUMBERS, some.integers(0, 0o7777))
def test_every_entry_is_written_and_read_back(
    path: bytes, kind: str, target: bytes, size: int, time: int, mode: int
) -> None:
    links = target if kind in "lh" else b""
    devices = 259 if kind in "cb" else 0
    entry = Entry(path, kind, mode, 1, 2, size if kind == "f" else 0, time, devices, links, "", "", time, size)
    line = encode(entry)
    assert line.count(b"\n") == 1
    assert decode(line) == entry and path_of(line) == path


@given(some.lists(some.text(max_size=12), max_size=4), _NAMES)
def test_no_glob_breaks_a_run_and_none_leaves_the_root_out(globs: list[str], path: bytes) -> None:
    excludes = Excludes(globs)
    excludes.match(path)
    assert not excludes.match(b"")


@given(
    some.lists(some.tuples(some.integers(0, 400 * 24), some.integers(1, 2)), min_size=1, max_size=30),
    some.dictionaries(
        some.sampled_from(["last", "hourly", "daily", "weekly", "monthly", "yearly"]), some.integers(0, 9)
    ),
)
def test_the_newest_stays_and_what_is_kept_stays_kept(made: list[tuple[int, int]], keep: dict[str, int]) -> None:
    whole = [
        manifest(f"b{number}", number, created_at=format_time(_START + timedelta(hours=hours)), files=files, size=files)
        for number, (hours, files) in enumerate(made)
    ]
    plan = plan_retention(whole, keep)
    assert whole[-1].id not in plan.prune
    assert set(plan.keep) | set(plan.prune) <= {item.id for item in whole}
    assert not set(plan.keep) & set(plan.prune)
    left = [item for item in whole if item.id not in plan.prune]
    # A second run removes nothing more.
    assert plan_retention(left, keep).prune == []


@given(some.binary(max_size=3000), some.integers(1, 700))
def test_no_bytes_whatever_break_the_follower(noise: bytes, chunk: int) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a"), io.BytesIO())
    stream = noise + buffer.getvalue()
    follower = Follower(lambda _entry: None, checksums=True)
    try:
        for start in range(0, len(stream), chunk):
            follower.feed(stream[start : start + chunk])
        follower.close()
    except ArchiveError:
        return
    assert follower.ended
