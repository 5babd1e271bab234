# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""File systems: what is free, what is on the disk, and two directories that change places in one step."""

from __future__ import annotations

import ctypes
import errno
import os
from hashlib import sha256
from typing import BinaryIO

from ansible_collections.steward.docker.plugins.module_utils._errors import RefusedError, TreeError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# What a file system answers that knows no exchange (rename(2)).
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
_libc = ctypes.CDLL(None, use_errno=True)
_BLOCK = 1 << 20


def digest_of_content(file: BinaryIO) -> str:
    """Return the SHA-256 of what is left to read of a file."""
    total = sha256()
    while block := file.read(_BLOCK):
        total.update(block)
    return total.hexdigest()


def syncfs(path: str) -> None:
    """Write all that is dirty in the file system of a path: only then do writes through a mapping show in the times."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise TreeError(f"Could not write the file system of {path} to its disk: {os.strerror(number)}.")
    finally:
        os.close(descriptor)


def free_bytes(path: str) -> int:
    """Return the bytes that are free for us in the file system of a path."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def exchange(one: str, other: str) -> None:
    """Let two paths of one file system change places in one atomic step (renameat2(2), RENAME_EXCHANGE).

    Raise RefusedError where the file system cannot do it, TreeError when it could not be done.
    """
    result = _libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if result == 0:
        return
    number = ctypes.get_errno()
    if number in _CANNOT:
        raise RefusedError(
            f"The file system of {one} cannot exchange two directories in one step ({os.strerror(number)}). "
            "Restore into another volume with to."
        )
    raise TreeError(f"Could not exchange {one} and {other}: {os.strerror(number)}.")
