# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal of a run: what it is about to do that somebody would have to take back, on disk before it is done.

A journal is a file of JSON lines in the host's state. Its first line says whose it is; each further one begins something
or ends it. Its owner is alive while it holds the file's lock, which the kernel lets go of with the process.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from ansible_collections.steward.docker.plugins.module_utils._errors import StewardError
from ansible_collections.steward.docker.plugins.module_utils._process import myself
from ansible_collections.steward.docker.plugins.module_utils._state import (
    open_private,
    private_directory,
    state_dir,
    sync_directory,
    temporary_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FORMAT = 1
SUFFIX = ".journal"
# What a run begins: a container held, a command that has to be run in the end, files in the making, a volume made.
HOLD, AFTER, FILES, VOLUME = "hold", "after", "files", "volume"


class Pending(NamedTuple):
    """Something that a run began and did not end."""

    what: str
    key: str
    facts: dict[str, Any]


class Header(NamedTuple):
    """Whose journal it is."""

    engine: str
    job: str
    process: str
    # Of the machine's clock, in seconds since 1970.
    began: int


def directory() -> Path:
    """Return the directory of the journals, there or not."""
    return state_dir() / "journal"


def parse(lines: Iterable[bytes]) -> tuple[Header, list[Pending]]:
    """Return whose journal the lines are, and what is pending in it, in the order in which it was begun.

    A last line that was not written whole says nothing: what it was to announce was not done. Raise ValueError for lines
    that are no journal.
    """
    header: Optional[Header] = None
    pending: dict[tuple[str, str], dict[str, Any]] = {}
    for line in lines:
        if not line.endswith(b"\n"):
            break
        found = json.loads(line)
        if header is None:
            if found.get("format") != FORMAT:
                raise ValueError(f"its format is {found.get('format')}, and {FORMAT} is known here")
            header = Header(found["engine"], found["job"], found["process"], found["began"])
            continue
        at = (found["what"], found["key"])
        if found["step"] == "end":
            pending.pop(at, None)
        else:
            pending[at] = {**pending.get(at, {}), **found["facts"]}
    if header is None:
        raise ValueError("it has no first line")
    return header, [Pending(what, key, facts) for (what, key), facts in pending.items()]


class Journal:
    """A run's own journal. Nothing is written before the first begin(); close() leaves it only if something is pending."""

    def __init__(self, engine: str, job: str, on_open: Callable[[Path], None]) -> None:
        """Prepare; `on_open` is called once the file is there."""
        self._engine = engine
        self._job = job
        self._on_open = on_open
        self._descriptor: Optional[int] = None
        self._path = directory() / f"{myself()}{SUFFIX}"
        self._pending: set[tuple[str, str]] = set()

    def begin(self, what: str, key: str, **facts: Any) -> None:
        """Write down that something is about to be begun, or further facts of it, and bring that onto the disk."""
        self.open()
        self._pending.add((what, key))
        self._append({"step": "begin", "what": what, "key": key, "facts": facts})

    def end(self, what: str, key: str) -> None:
        """Write down that something is done or taken back. Does nothing when it was not begun."""
        if (what, key) in self._pending:
            self._pending.discard((what, key))
            # Should the disk be full, whoever reads the journal finds that there is nothing left to be done.
            with suppress(StewardError):
                self._append({"step": "end", "what": what, "key": key})

    def close(self) -> None:
        """Remove the journal, unless something is pending: the next run takes care of that then."""
        if self._descriptor is None:
            return
        if not self._pending:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None

    def open(self) -> None:
        """Make the file, unless it is there. Raise StewardError when that cannot be done."""
        if self._descriptor is not None:
            return
        private_directory(self._path.parent)
        temporary = temporary_name(self._path)
        try:
            descriptor = open_private(str(temporary), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
            # Locked before it gets its name: nobody ever sees it without its owner.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._descriptor = descriptor
            self._append(
                {"format": FORMAT, **Header(self._engine, self._job, str(myself()), int(time.time()))._asdict()}
            )
            os.rename(temporary, self._path)
            sync_directory(self._path.parent)
        except OSError as error:
            raise StewardError(
                f"Could not write the journal {self._path}: {error.strerror}. Nothing is held without one: free some space "
                "there, or let STEWARD_STATE_DIR name another directory."
            ) from error
        self._on_open(self._path)

    def _append(self, record: dict[str, Any]) -> None:
        if self._descriptor is None:
            raise StewardError(f"The journal {self._path} is not open.")
        line = json.dumps(record, sort_keys=True).encode() + b"\n"
        before = os.fstat(self._descriptor).st_size
        try:
            if os.write(self._descriptor, line) != len(line):
                os.ftruncate(self._descriptor, before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._descriptor)
        except OSError as error:
            raise StewardError(f"Could not write the journal {self._path}: {error.strerror}.") from error
