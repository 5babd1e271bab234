# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What differs between a tree and what is known of it: pure, over two streams in the same order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup.entry import (
    DIRECTORY,
    HARD_LINK,
    Entry,
    decode,
    encode,
    path_of,
)
from ansible_collections.steward.docker.plugins.module_utils._names import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHOWN = 100


class Differences:
    """The paths that were added, removed and changed: all are counted, the first hundred of each are named."""

    def __init__(self) -> None:
        """Begin with none."""
        self.counts = {"added": 0, "removed": 0, "changed": 0}
        self.names: dict[str, list[str]] = {"added": [], "removed": [], "changed": []}

    def add(self, kind: str, path: bytes) -> None:
        """Note one path as `added`, `removed` or `changed`."""
        self.counts[kind] += 1
        if len(self.names[kind]) < SHOWN:
            self.names[kind].append(printable(path) or ".")

    def __bool__(self) -> bool:
        return any(self.counts.values())

    def __str__(self) -> str:
        """Return them in words: `2 changed, 1 added`."""
        return ", ".join(f"{count} {kind}" for kind, count in self.counts.items() if count) or "no difference"

    def lines(self, kind: str) -> list[str]:
        """Return the names of one kind, and how many more there are."""
        more = self.counts[kind] - len(self.names[kind])
        return self.names[kind] + ([f"... and {more} more"] if more else [])


def order(path: bytes) -> bytes:
    """Return the sort key of the walk's order: a directory before its content, names bytewise."""
    return path.replace(b"/", b"\0")


def merge(now: Iterable[Entry], then: Iterable[bytes]) -> Iterator[tuple[Optional[Entry], Optional[bytes]]]:
    """Pair entries with the lines of known ones by path, both in the walk's order; None where one has no other.

    Pairs whose lines are equal to the letter are left out: that is nearly all of them, and they cost little.
    """
    lines = iter(then)
    line = next(lines, None)
    for entry in now:
        if line is not None and encode(entry) == line:
            line = next(lines, None)
            continue
        while line is not None and order(path_of(line)) < order(entry.path):
            yield None, line
            line = next(lines, None)
        if line is not None and path_of(line) == entry.path:
            if encode(entry) != line:
                yield entry, line
            line = next(lines, None)
        else:
            yield entry, None
    while line is not None:
        yield None, line
        line = next(lines, None)


def same_but_content(now: Entry, then: Entry) -> bool:
    """Return whether all that can be seen of an entry without reading its content or attributes is the same."""
    if (now.mode, now.uid, now.gid) != (then.mode, then.uid, then.gid):
        return False
    if then.type == HARD_LINK:
        return now.type != DIRECTORY and now.mtime_ns == then.mtime_ns
    if now.type != then.type:
        return False
    if now.type == DIRECTORY:
        # Size and times of a directory change with every temporary file in it.
        return now.xattrs == then.xattrs
    return (now.size, now.mtime_ns, now.target, now.rdev) == (then.size, then.mtime_ns, then.target, then.rdev)


def compare(now: Iterable[Entry], then: Iterable[bytes], settle: Callable[[Entry], bool]) -> Differences:
    """Return what differs between a tree and what is known of it.

    Where only the inode or the time of its change differ, or are not known, `settle` says whether content and
    attributes are the same.
    """
    found = Differences()
    for entry, line in merge(now, then):
        if line is None:
            found.add("added", entry.path if entry else b"")
        elif entry is None:
            found.add("removed", path_of(line))
        else:
            known = decode(line)
            if not same_but_content(entry, known) or (entry.type != DIRECTORY and not settle(entry)):
                found.add("changed", entry.path)
    return found
