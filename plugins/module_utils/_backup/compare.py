# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What differs between a tree and what is known of it: pure, over two streams in the same order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional, TypeVar

from ansible_collections.steward.docker.plugins.module_utils._names import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ansible_collections.steward.docker.plugins.module_utils._backup.entry import Entry

SHOWN = 100

_Left = TypeVar("_Left")
_Right = TypeVar("_Right")


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


def merge(
    left: Iterable[_Left], right: Iterable[_Right], left_path: Callable[[_Left], bytes], right_path: Callable[[_Right], bytes]
) -> Iterator[tuple[Optional[_Left], Optional[_Right]]]:
    """Pair two streams in the walk's order by path; what only one of them has comes with None."""
    lefts, rights = iter(left), iter(right)
    one, other = next(lefts, None), next(rights, None)
    while one is not None or other is not None:
        if one is None:
            yield None, other
            other = next(rights, None)
        elif other is None:
            yield one, None
            one = next(lefts, None)
        else:
            path, other_path = left_path(one), right_path(other)
            if path == other_path:
                yield one, other
                one, other = next(lefts, None), next(rights, None)
            elif order(path) < order(other_path):
                yield one, None
                one = next(lefts, None)
            else:
                yield None, other
                other = next(rights, None)


def same_data(now: Entry, then: Entry) -> bool:
    """Return whether all that a person can see of an entry but its content is the same."""
    if now.type != then.type or now.mode != then.mode or now.uid != then.uid or now.gid != then.gid:
        return False
    if now.type == "d":
        # Size and times of a directory change with every temporary file in it.
        return now.xattrs == then.xattrs
    return (
        now.size == then.size
        and now.mtime_ns == then.mtime_ns
        and now.target == then.target
        and now.rdev == then.rdev
    )


def same_inode(now: Entry, then: Entry) -> bool:
    """Return whether nothing at all was done to an entry: its inode and the time of its last change are the same."""
    return now.type == "d" or (now.ctime_ns == then.ctime_ns and now.ino == then.ino)


def compare(
    now: Iterable[Entry], then: Iterable[Entry], settle: Callable[[Entry], bool], *, trust_inode: bool
) -> Differences:
    """Return what differs between a tree now and then.

    An entry whose inode or time of change differs, or any with `trust_inode` off, is settled by its digests: `settle`
    returns whether they are the same.
    """
    found = Differences()
    for one, other in merge(now, then, lambda entry: entry.path, lambda entry: entry.path):
        if other is None:
            found.add("added", one.path if one else b"")
        elif one is None:
            found.add("removed", other.path)
        elif not same_data(one, other):
            found.add("changed", one.path)
        elif not (trust_inode and same_inode(one, other)) and not settle(one):
            found.add("changed", one.path)
    return found
