# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A walk of a directory tree that never leaves it: links are not followed, other file systems not entered."""

from __future__ import annotations

import errno
import os
import resource
import stat
from typing import TYPE_CHECKING, NamedTuple, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup import entry as kinds
from ansible_collections.steward.docker.plugins.module_utils._backup.content import digest_as
from ansible_collections.steward.docker.plugins.module_utils._backup.entry import Entry
from ansible_collections.steward.docker.plugins.module_utils._backup.exclude import Excludes
from ansible_collections.steward.docker.plugins.module_utils._backup.xattrs import digest_of
from ansible_collections.steward.docker.plugins.module_utils._errors import TreeError
from ansible_collections.steward.docker.plugins.module_utils._local import mount_points
from ansible_collections.steward.docker.plugins.module_utils._names import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TYPES = {
    stat.S_IFREG: kinds.FILE,
    stat.S_IFDIR: kinds.DIRECTORY,
    stat.S_IFLNK: kinds.SYMLINK,
    stat.S_IFCHR: kinds.CHARACTER,
    stat.S_IFBLK: kinds.BLOCK,
    stat.S_IFIFO: kinds.FIFO,
    stat.S_IFSOCK: kinds.SOCKET,
}
# A name that is not any more what it was when it was listed or looked at: gone, or another kind of thing.
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ESTALE)
# The kernel's PATH_MAX counts the final NUL; archives name a member "./" and its path.
LONGEST_PATH = 4096 - 1 - len("./")


class _Level(NamedTuple):
    """A directory that is being walked."""

    descriptor: int
    prefix: bytes
    names: Iterator[bytes]


def allow_deep_trees() -> None:
    """Raise this process's limit of open files: the walk keeps one for each level of the tree."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Walk:
    """Entries of a tree in order: a directory before its content, names bytewise. Counters are right at the end."""

    def __init__(self, root: str, exclude: Optional[Excludes] = None, *, all_xattrs: bool = False) -> None:
        """Prepare to walk `root`; attributes are read of directories only, unless `all_xattrs`."""
        self.root = root
        self._exclude = exclude or Excludes(())
        self._all_xattrs = all_xattrs
        self.files = 0
        self.directories = 0
        self.size = 0
        # What the files take on the disk: less than their size where they have holes.
        self.allocated = 0
        self.sockets = 0
        # Paths relative to the root.
        self.excluded: list[bytes] = []
        self.other_file_systems: list[bytes] = []
        # Those of them that are on the same file system, or no directories: tar would not stop there.
        self.mounted: list[bytes] = []
        self.mounts: set[bytes] = set()
        # Of the root: its device and inode.
        self.identity = (0, 0)
        self.too_long: list[bytes] = []
        self.vanished: list[bytes] = []

    def __iter__(self) -> Iterator[Entry]:
        allow_deep_trees()
        levels: list[_Level] = []
        try:
            descriptor = os.open(self.root, OPEN_DIRECTORY)
            levels.append(self._level(descriptor, b""))
            self.mounts = mounts_inside(descriptor)
            status = os.fstat(descriptor)
            device = status.st_dev
            self.identity = (device, status.st_ino)
            yield self._directory(b"", status, descriptor)
            while levels:
                level = levels[-1]
                name = next(level.names, None)
                if name is None:
                    os.close(levels.pop().descriptor)
                    continue
                path = level.prefix + name
                found = self._observe(path, name, level.descriptor, device)
                if found is None:
                    continue
                entry, descriptor = found
                if descriptor >= 0:
                    levels.append(self._level(descriptor, path + b"/"))
                yield entry
        except OSError as error:
            raise TreeError(f"Could not read the directory {printable(self.root)}: {error}") from error
        finally:
            for level in levels:
                os.close(level.descriptor)

    @staticmethod
    def _level(descriptor: int, prefix: bytes) -> _Level:
        # By this path and not the descriptor: names as bytes, and each held once.
        names = os.listdir(b"/proc/self/fd/%d" % descriptor)
        names.sort()
        return _Level(descriptor, prefix, iter(names))

    def _observe(self, path: bytes, name: bytes, parent: int, device: int) -> Optional[tuple[Entry, int]]:
        """Return an entry and, of a directory to be entered, its descriptor; None for what is left out."""
        if self._exclude and self._exclude.match(path):
            self.excluded.append(path)
            return None
        if len(path) > LONGEST_PATH:
            self.too_long.append(path)
            return None
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            kind = _TYPES[stat.S_IFMT(status.st_mode)]
            if status.st_dev != device or path in self.mounts:
                self.other_file_systems.append(path)
                if status.st_dev == device or kind != kinds.DIRECTORY:
                    self.mounted.append(path)
                return None
            if kind == kinds.DIRECTORY:
                descriptor = os.open(name, OPEN_DIRECTORY, dir_fd=parent)
                # What was opened counts: it may have been replaced since it was looked at.
                return self._opened(path, descriptor, device)
            if kind == kinds.SOCKET:
                self.sockets += 1
                return None
            self.files += 1
            target = os.readlink(name, dir_fd=parent) if kind == kinds.SYMLINK else b""
            attributes = digest_of(f"/proc/self/fd/{parent}/{os.fsdecode(name)}") if self._all_xattrs else ""
        except OSError as error:
            if error.errno in _VANISHED:
                self.vanished.append(path)
                return None
            raise TreeError(
                f"Could not read {printable(path)} in {printable(self.root)}: {error.strerror}. "
                "Mend it, or leave it out with exclude_paths."
            ) from error
        size = status.st_size if kind == kinds.FILE else 0
        self.size += size
        self.allocated += status.st_blocks * 512
        found = Entry(
            path,
            kind,
            stat.S_IMODE(status.st_mode),
            status.st_uid,
            status.st_gid,
            size,
            status.st_mtime_ns,
            status.st_rdev if kind in (kinds.CHARACTER, kinds.BLOCK) else 0,
            target,
            attributes,
            "",
            status.st_ctime_ns,
            status.st_ino,
        )
        return found, -1

    def _opened(self, path: bytes, descriptor: int, device: int) -> Optional[tuple[Entry, int]]:
        """Return the entry of a directory that was opened; None when another file system was mounted there meanwhile."""
        try:
            status = os.fstat(descriptor)
            if status.st_dev == device:
                return self._directory(path, status, descriptor), descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        self.other_file_systems.append(path)
        return None

    def _directory(self, path: bytes, status: os.stat_result, descriptor: int) -> Entry:
        self.directories += 1
        return Entry(
            path,
            kinds.DIRECTORY,
            stat.S_IMODE(status.st_mode),
            status.st_uid,
            status.st_gid,
            xattrs=digest_of(descriptor),
        )


def refuse_replaced(root: str, walk: Walk) -> None:
    """Raise TreeError when a root is not the directory that was walked any more, or has other mounts inside."""
    try:
        descriptor = os.open(root, OPEN_DIRECTORY)
    except OSError as error:
        raise TreeError(f"Could not read the directory {printable(root)} again: {error.strerror}.") from error
    try:
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) != walk.identity:
            raise TreeError(f"The directory {printable(root)} was mounted, unmounted or replaced while it was read.")
        if mounts_inside(descriptor) != walk.mounts:
            raise TreeError(
                f"Something was mounted or unmounted inside {printable(root)} while it was read. Try again."
            )
    finally:
        os.close(descriptor)


def open_inside(root: str, path: bytes, flags: int) -> int:
    """Open a path below the root without following a link anywhere in it; return the descriptor."""
    current = os.open(root, OPEN_DIRECTORY)
    *above, last = path.split(b"/")
    try:
        for name in above:
            below = os.open(name, OPEN_DIRECTORY, dir_fd=current)
            os.close(current)
            current = below
        return os.open(last, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
    finally:
        os.close(current)


def content_digest(root: str, entry: Entry, known: str) -> str:
    """Return the digest of a file's content in the form of a known one, "" when it is not the same file any more."""
    try:
        # Only a handle: to open a device has effects, and to open a FIFO can last, should the file have become one.
        handle = open_inside(root, entry.path, os.O_PATH)
    except OSError:
        return ""
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_ino != entry.ino:
            return ""
        with open(f"/proc/self/fd/{handle}", "rb", buffering=0) as file:
            return digest_as(file.fileno(), entry.size, known)
    finally:
        os.close(handle)


def same_file(root: str, path: bytes, other: bytes) -> bool:
    """Return whether two paths are names of one file."""
    found: list[tuple[int, int]] = []
    for name in (path, other):
        try:
            handle = open_inside(root, name, os.O_PATH)
        except OSError:
            return False
        status = os.fstat(handle)
        os.close(handle)
        found.append((status.st_dev, status.st_ino))
    return found[0] == found[1]


def mounts_inside(descriptor: int) -> set[bytes]:
    """Return the paths below an open directory at which something is mounted, also if of the same file system."""
    above = os.readlink(b"/proc/self/fd/%d" % descriptor).rstrip(b"/") + b"/"
    return {point[len(above) :] for point in mount_points() if point.startswith(above) and point != above}


def xattrs_digest(root: str, entry: Entry) -> str:
    """Return the digest of an entry's extended attributes and ACLs, "" also when it is not there any more."""
    parent, _slash, name = entry.path.rpartition(b"/")
    try:
        descriptor = (
            open_inside(root, parent, os.O_RDONLY | os.O_DIRECTORY) if parent else os.open(root, OPEN_DIRECTORY)
        )
    except OSError:
        return ""
    try:
        return digest_of(f"/proc/self/fd/{descriptor}/{os.fsdecode(name)}")
    finally:
        os.close(descriptor)
