# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of a host, in one place, and the locks by which jobs keep out of each other's way.

Losing it costs time, never data.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Optional

from ansible_collections.steward.docker.plugins.module_utils._errors import LockError, StewardError
from ansible_collections.steward.docker.plugins.module_utils._process import ProcessIdentity, myself, provably_dead

DEFAULT_STATE_DIR = "/var/lib/steward"
STATE_DIR_VARIABLE = "STEWARD_STATE_DIR"
_POLL = 0.2
_TEMPORARY = ".tmp-"
# What file systems without hard links answer.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK)


def state_dir() -> Path:
    """Return the directory of the host's state, there or not: who writes into it makes it."""
    return Path(os.environ.get(STATE_DIR_VARIABLE) or DEFAULT_STATE_DIR)


def private_directory(path: Path) -> Path:
    """Make a directory that only its owner may enter, with those above it, and return it."""
    try:
        for directory in (*reversed(path.parents), path):
            # Its own parents=True would give those above the ordinary mode.
            if not directory.exists():
                directory.mkdir(mode=0o700, exist_ok=True)
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as error:
        raise StewardError(
            f"Could not make the directory {path}: {error.strerror}. Run the task with become: true, or choose another."
        ) from error
    return path


def temporary_name(path: Path) -> Path:
    """Return the name under which this process writes a file before it gets its own; it says who the owner is."""
    return path.with_name(f"{_TEMPORARY}{myself()}@{path.name}")


def owner_of_temporary(name: str) -> tuple[Optional[ProcessIdentity], str]:
    """Return who wrote a temporary file, and the name that the file was to get; None when it is no temporary one."""
    if not name.startswith(_TEMPORARY):
        return None, ""
    owner, _at, final = name[len(_TEMPORARY) :].partition("@")
    return ProcessIdentity.parse(owner), final


def open_private(path: str, flags: int) -> int:
    """Open a file that only its owner may read: the opener of open()."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def dead_temporaries(directory: Path) -> list[tuple[Path, str]]:
    """Return the temporary files of provably dead processes in a directory, each with the name that it was to get."""
    found: list[tuple[Path, str]] = []
    for name in sorted(os.listdir(directory)):
        owner, final = owner_of_temporary(name)
        if owner is not None and provably_dead(owner):
            found.append((directory / name, final))
    return found


def sweep_temporaries(directory: Path) -> None:
    """Remove the temporary files of provably dead processes in a directory, there or not."""
    for path, _final in dead_temporaries(directory) if directory.is_dir() else []:
        path.unlink(missing_ok=True)


def write_private(path: Path, data: bytes) -> None:
    """Replace a file as a whole, readable by its owner only, and on disk when this returns."""
    _write_private(path, data, os.replace)


def write_private_once(path: Path, data: bytes) -> None:
    """Write a file as write_private() does, unless it is there: of several who write it at once, one does."""
    with suppress(FileExistsError):
        _write_private(path, data, _link_or_replace)


def _link_or_replace(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.replace(temporary, path)


def _write_private(path: Path, data: bytes, name_it: Callable[[Path, Path], None]) -> None:
    temporary = temporary_name(path)
    try:
        with open(temporary, "wb", opener=open_private) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        name_it(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Bring a directory's names onto the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hashed_name(*parts: str) -> str:
    """Return a file name of fixed length for parts that may hold anything."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


class Lock:
    """Keeps other runs away from one object for as long as this process holds it; the kernel lets go of a dead one's."""

    def __init__(self, parts: tuple[str, ...], what: str, timeout: float) -> None:
        """Prepare the lock of the object that `parts` name; `what` says it in words."""
        directory = private_directory(state_dir() / "locks")
        self._path = directory / f"{hashed_name(*parts)}.lock"
        self._what = what
        self._timeout = timeout
        self._descriptor: Optional[int] = None

    def __enter__(self) -> Lock:
        """Wait for the lock. Raise LockError that names the holder when it is not had in time."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + self._timeout
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise LockError(self._busy(descriptor)) from None
                    time.sleep(_POLL)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "since": int(time.time())}).encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return self

    def _busy(self, descriptor: int) -> str:
        try:
            holder: dict[str, Any] = json.loads(os.pread(descriptor, 4096, 0))
            who = f"process {holder['pid']}, since {time.strftime('%H:%M:%S', time.localtime(holder['since']))}"
        except (ValueError, KeyError):
            who = "a process that has not said its name"
        return (
            f"Another run works on {self._what} ({who}); it did not end within {self._timeout:g} s. "
            "Wait for it, or set a longer lock_timeout."
        )

    def __exit__(self, *_error: object) -> None:
        """Let go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
