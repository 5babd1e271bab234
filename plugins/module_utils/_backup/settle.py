# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settles by digests whether an entry is as a backup's index has it, reading both in the same order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup.compare import Differences, compare, order
from ansible_collections.steward.docker.plugins.module_utils._backup.entry import (
    FILE,
    HARD_LINK,
    Entry,
    decode,
    path_of,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.lines import LineReader
from ansible_collections.steward.docker.plugins.module_utils._backup.tree import (
    content_digest,
    same_file,
    xattrs_digest,
)
from ansible_collections.steward.docker.plugins.module_utils._local import file_system_of, mount_points

if TYPE_CHECKING:
    from collections.abc import Iterable


_WITHOUT_TIMES = ("tmpfs", "ramfs")


class Settler:
    """Looks entries up in an index and compares digests. Entries have to come in the walk's order."""

    def __init__(self, root: str, index: str) -> None:
        """Prepare; the index is opened when the first entry comes."""
        self._root = root
        self._index = index
        self._reader: Optional[LineReader] = None
        self._ahead: Optional[bytes] = None
        # How many entries were looked up.
        self.settled = 0

    def __enter__(self) -> Settler:
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the index."""
        if self._reader is not None:
            self._reader.end()

    def _find(self, path: bytes) -> Optional[Entry]:
        if self._reader is None:
            self._reader = LineReader(self._index)
            self._ahead = next(iter(self._reader), None)
        while self._ahead is not None and order(path_of(self._ahead)) < order(path):
            self._ahead = next(iter(self._reader), None)
        if self._ahead is None or path_of(self._ahead) != path:
            return None
        return decode(self._ahead)

    def same(self, entry: Entry) -> bool:
        """Return whether the entry's content, attributes and ACLs are those in the index."""
        self.settled += 1
        known = self._find(entry.path)
        return known is not None and self.equals(entry, known)

    def equals(self, entry: Entry, known: Entry) -> bool:
        """Return whether the entry's content, attributes and ACLs are the known ones."""
        if known.type == HARD_LINK:
            # Its first name came before and was settled there.
            return same_file(self._root, entry.path, known.target)
        if known.type == FILE and content_digest(self._root, entry, known.sha256) != known.sha256:
            return False
        return xattrs_digest(self._root, entry) == known.xattrs


def differences_of_tree(
    root: str, entries: Iterable[Entry], saved: Optional[LineReader], index: str
) -> tuple[Differences, int]:
    """Return what differs between a tree and its backup, and how many entries only digests could settle.

    The tree's entries are compared with its saved walk; without one with the index, where every file's content is read.
    That is also done where the times of a file tell nothing: in memory, writes through a mapping leave no trace.
    """
    if saved is not None and file_system_of(root, mount_points()) in _WITHOUT_TIMES:
        saved.end()
        saved = None
    with Settler(root, index) as settler, saved or LineReader(index) as lines:
        return compare(entries, lines, settler.same), settler.settled


def differences_of_stream(entries: Iterable[Entry], index: str) -> Differences:
    """Return what differs between entries that came with their digests, as a stream gives them, and an index."""
    with LineReader(index) as lines:
        # Lines that are not equal to the letter differ in content or attributes: there is nothing left to settle.
        return compare(entries, lines, lambda _entry: False)
