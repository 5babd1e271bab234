# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One entry of a tree, and its line: in the saved walk on the host, and in the index beside an archive."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.steward.docker.plugins.module_utils._names import printable, unprintable

DIRECTORY, FILE, SYMLINK, CHARACTER, BLOCK, FIFO, SOCKET = "d", "f", "l", "c", "b", "p", "s"
# A further name of a file that came before; its target is that first name.
HARD_LINK = "h"
_KINDS = frozenset(kind.encode() for kind in (DIRECTORY, FILE, SYMLINK, CHARACTER, BLOCK, FIFO, SOCKET, HARD_LINK))


class Entry(NamedTuple):
    """What is known of one file, directory or other thing in a tree. What is not known is 0 or empty."""

    # Relative to the root, which is itself b"".
    path: bytes
    type: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    rdev: int = 0
    target: bytes = b""
    # SHA-256 over the extended attributes and ACLs, "" when there are none.
    xattrs: str = ""
    # SHA-256 of a file's content.
    sha256: str = ""
    ctime_ns: int = 0
    ino: int = 0


def encode(entry: Entry) -> bytes:
    """Return the entry as one line: fields separated by tabs, the path last.

    Of a directory, size and times are left out: they change with every temporary file in it.
    """
    path = printable(entry.path)
    if entry.type == FILE:
        return (
            f"f\t{entry.mode:o}\t{entry.uid}\t{entry.gid}\t{entry.size}\t{entry.mtime_ns}\t0\t{entry.ctime_ns}\t{entry.ino}"
            f"\t{entry.sha256}\t{entry.xattrs}\t\t{path}\n"
        ).encode()
    if entry.type == DIRECTORY:
        return f"d\t{entry.mode:o}\t{entry.uid}\t{entry.gid}\t0\t0\t0\t0\t0\t\t{entry.xattrs}\t\t{path}\n".encode()
    return (
        f"{entry.type}\t{entry.mode:o}\t{entry.uid}\t{entry.gid}\t{entry.size}\t{entry.mtime_ns}\t{entry.rdev}"
        f"\t{entry.ctime_ns}\t{entry.ino}\t{entry.sha256}\t{entry.xattrs}\t{printable(entry.target)}\t{path}\n"
    ).encode()


def path_of(line: bytes) -> bytes:
    """Return only the path of an entry's line."""
    return unprintable(line[line.rindex(b"\t") + 1 : -1])


def decode(line: bytes) -> Entry:
    """Return the entry of a line that encode() made. Raise ValueError for anything else."""
    fields = line[:-1].split(b"\t")
    if not line.endswith(b"\n") or fields[0] not in _KINDS:
        raise ValueError("a line that is no entry")
    kind, mode, uid, gid, size, mtime, rdev, ctime, ino, sha256, xattrs, target, path = fields
    return Entry(
        path=unprintable(path),
        type=kind.decode("ascii"),
        mode=int(mode, 8),
        uid=int(uid),
        gid=int(gid),
        size=int(size),
        mtime_ns=int(mtime),
        rdev=int(rdev),
        target=unprintable(target),
        xattrs=xattrs.decode("ascii"),
        sha256=sha256.decode("ascii"),
        ctime_ns=int(ctime),
        ino=int(ino),
    )
