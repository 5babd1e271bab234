# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The walk that was saved when a tree was last the same as a backup. Backup and restore share it.

It is believed only for the engine, the volume and the store that it was made for, and only for the one backup.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup.compress import NONE
from ansible_collections.steward.docker.plugins.module_utils._backup.lines import LineReader, LineWriter
from ansible_collections.steward.docker.plugins.module_utils._errors import ArchiveError
from ansible_collections.steward.docker.plugins.module_utils._state import (
    hashed_name,
    open_private,
    private_directory,
    state_dir,
    temporary_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ansible_collections.steward.docker.plugins.module_utils._backup.entry import Entry
    from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import Subject

# A file changed in the same tick of the clock as it was looked at can change again without a trace.
_TICK_NS = 2 * 10**9


class WalkKey(NamedTuple):
    """Whose walk it is. `made_at` is the volume's time of creation, "" for a directory."""

    engine: str
    store: str
    subject: Subject
    made_at: str

    @property
    def path(self) -> Path:
        """The file of the walk."""
        return state_dir() / "walks" / f"{hashed_name(self.engine, self.store, *self.subject)}.walk"

    def header(self, backup: str) -> dict[str, str]:
        """Return what the file's first line has to say."""
        return {
            "engine": self.engine,
            "store": self.store,
            "host": self.subject.host,
            "kind": self.subject.kind,
            "name": self.subject.name,
            "made_at": self.made_at,
            "backup": backup,
        }


def load(key: WalkKey, backup: str) -> Optional[LineReader]:
    """Return the walk saved for that backup, or None when there is none to be believed."""
    if not key.path.exists():
        return None
    try:
        reader = LineReader(str(key.path))
    except ArchiveError:
        return None
    expected = key.header(backup)
    if {field: reader.header.get(field) for field in expected} == expected:
        return reader
    reader.end()
    return None


class SavedWalk:
    """A walk while it is saved: it gets its name, and the backup's ID, only once the backup is there."""

    def __init__(self, key: WalkKey, backup: str, began_ns: int) -> None:
        """Prepare; `began_ns` is when the walk began."""
        self._path = key.path
        self._header = key.header(backup)
        self._began_ns = began_ns
        self._temporary = temporary_name(key.path)

    def passing(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Give the entries on, each written down."""
        private_directory(self._path.parent)
        with open(self._temporary, "xb", buffering=0, opener=open_private) as file:
            writer = LineWriter(file, NONE, self._header)
            for entry in entries:
                # Without a time, the next run settles it by its digest.
                fresh = entry.ctime_ns > self._began_ns - _TICK_NS
                writer.add(entry._replace(ctime_ns=0) if fresh and entry.type != "d" else entry)
                yield entry
            writer.close()

    def write(self, entries: Iterable[Entry]) -> None:
        """Write the entries down."""
        try:
            for _entry in self.passing(entries):
                pass
        except BaseException:
            self.drop()
            raise

    def reader(self) -> LineReader:
        """Return what was written down, to be read again before keep()."""
        return LineReader(str(self._temporary))

    def keep(self) -> None:
        """Give the walk its name."""
        os.replace(self._temporary, self._path)

    def drop(self) -> None:
        """Remove it. Does nothing after keep()."""
        self._temporary.unlink(missing_ok=True)
