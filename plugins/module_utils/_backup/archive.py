# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives: written from a tree or from the engine's stream, read to their end, extracted into a directory."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, BinaryIO, Callable, NamedTuple, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup import entry as kinds
from ansible_collections.steward.docker.plugins.module_utils._backup.children import CHUNK, Child, write_all
from ansible_collections.steward.docker.plugins.module_utils._backup.compress import (
    CompressedReader,
    CompressedWriter,
    Compression,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.disk import free_bytes
from ansible_collections.steward.docker.plugins.module_utils._backup.guard import Guard
from ansible_collections.steward.docker.plugins.module_utils._backup.meanwhile import Meanwhile
from ansible_collections.steward.docker.plugins.module_utils._backup.tarstream import Follower
from ansible_collections.steward.docker.plugins.module_utils._backup.tree import OPEN_DIRECTORY
from ansible_collections.steward.docker.plugins.module_utils._errors import ArchiveError, TreeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ansible_collections.steward.docker.plugins.module_utils._backup.entry import Entry
    from ansible_collections.steward.docker.plugins.module_utils._backup.exclude import Excludes

# ACLs travel as the attributes that they are: as text, tar would name users and groups, which are others elsewhere.
_SAME_FOR_BOTH = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "--xattrs-exclude=security.selinux"]
_CREATE = [
    "tar",
    "--create",
    "--format=posix",
    # These two change whenever a backup reads a file; they are no data.
    "--pax-option=delete=atime,delete=ctime",
    # The walk's order.
    "--sort=name",
    "--one-file-system",
    "--sparse",
    "--warning=no-file-ignored",
    *_SAME_FOR_BOTH,
]
_EXTRACT = [
    "tar",
    "--extract",
    "--same-owner",
    "--preserve-permissions",
    "--sparse",
    "--delay-directory-restore",
    *_SAME_FOR_BOTH,
]
# tar's exit status when files changed while it read them, and when it could not read some.
_DIFFERS, _FAILED = 1, 2
# tar does not always say that the disk is full when it is: a block that did not fit leaves a little.
_AS_GOOD_AS_FULL = 1 << 20


class Written(NamedTuple):
    """What a finished archive is."""

    sha256: str
    stored: int
    files: int
    directories: int
    size: int
    meanwhile: Meanwhile
    root: Optional[Entry]


class _Counter:
    """Counts members and passes them on."""

    def __init__(self, on_member: Callable[[Entry], None]) -> None:
        self._on_member = on_member
        self.files = 0
        self.directories = 0
        self.size = 0
        self.root: Optional[Entry] = None

    def __call__(self, entry: Entry) -> None:
        if entry.type == kinds.DIRECTORY:
            self.directories += 1
            if not entry.path:
                self.root = entry
        else:
            self.files += 1
            if entry.type == kinds.FILE:
                self.size += entry.size
        self._on_member(entry)


def write_tree(
    root: str,
    sink: BinaryIO,
    compression: Compression,
    level: Optional[int],
    on_member: Callable[[Entry], None],
    *,
    exclude: Optional[Excludes] = None,
    excluded: Sequence[bytes] = (),
    identity: Optional[tuple[int, int]] = None,
) -> Written:
    """Archive a directory with GNU tar into a sink; `identity` is the device and inode that it has to have.

    tar descends by itself, which opens every directory without following links: what a container plants cannot lead it
    outside. The root is opened here in the same way, since tar would follow a link there. `excluded` are the paths known
    to be excluded, so that tar does not even read them; `exclude` leaves out what else matches. Raise ArchiveError,
    StoreError or TreeError; nothing is left running.
    """
    with tempfile.NamedTemporaryFile() as names:
        # A name with a newline cannot be told to tar this way; the follower leaves it out of the stream.
        names.write(b"".join(b"./" + path + b"\n" for path in excluded if b"\n" not in path))
        names.flush()
        options = ["--anchored", "--no-wildcards", f"--exclude-from={names.name}"] if excluded else []
        descriptor = _open_root(root, identity)
        try:
            tar = Child([*_CREATE, *options, "-C", f"/proc/self/fd/{descriptor}", "."], stdout=True, keep=[descriptor])
        finally:
            os.close(descriptor)
        try:
            written = _write(iter(lambda: tar.stdout.read(CHUNK), b""), sink, compression, level, on_member, exclude)
            status = tar.wait((0, _DIFFERS, _FAILED))
            rest = written.meanwhile.hear(tar.messages())
            if (status and not written.meanwhile) or (status == _FAILED and rest):
                raise ArchiveError(f"tar could not read all of {root} and said: {'; '.join(rest[-3:]) or 'nothing'}.")
        finally:
            tar.end()
    return written


def _open_root(root: str, identity: Optional[tuple[int, int]]) -> int:
    try:
        descriptor = os.open(root, OPEN_DIRECTORY)
    except OSError as error:
        raise TreeError(f"Could not read the directory {root}: {error.strerror}.") from error
    status = os.fstat(descriptor)
    if identity not in (None, (status.st_dev, status.st_ino)):
        os.close(descriptor)
        raise TreeError(f"The directory {root} was mounted, unmounted or replaced while it was read.")
    return descriptor


def write_stream(
    chunks: Iterable[bytes],
    sink: BinaryIO,
    compression: Compression,
    level: Optional[int],
    on_member: Callable[[Entry], None],
    *,
    exclude: Optional[Excludes] = None,
) -> Written:
    """Archive a tar stream whose names are relative to the root, as the engine sends it, into a sink."""
    return _write(chunks, sink, compression, level, on_member, exclude)


def _write(
    chunks: Iterable[bytes],
    sink: BinaryIO,
    compression: Compression,
    level: Optional[int],
    on_member: Callable[[Entry], None],
    exclude: Optional[Excludes],
) -> Written:
    counter = _Counter(on_member)
    wanted = (lambda path: not exclude.match(path)) if exclude else None
    follower = Follower(counter, wanted=wanted)
    writer = CompressedWriter(sink, compression, level)
    try:
        for chunk in chunks:
            writer.write(follower.feed(chunk))
        follower.close()
        digest = writer.close()
    finally:
        writer.end()
    return Written(digest, writer.stored, counter.files, counter.directories, counter.size, Meanwhile(), counter.root)


class Read(NamedTuple):
    """What an archive was found to be when it was read to its end."""

    sha256: str
    files: int
    directories: int
    size: int
    root: Optional[Entry]
    # Whether some ACL is there as text only.
    text_acls: bool


def members_of(chunks: Iterable[bytes]) -> Iterator[Entry]:
    """Return the members of a tar stream, each with its digests, as the stream is read to its end."""
    batch: list[Entry] = []
    follower = Follower(batch.append)
    for chunk in chunks:
        follower.feed(chunk)
        yield from batch
        batch.clear()
    follower.close()


def read_archive(
    path: str,
    on_member: Callable[[Entry], None],
    *,
    forward: Optional[Callable[[bytes], None]] = None,
    strip_components: int = 0,
    checksums: bool = False,
) -> Read:
    """Read an archive (.tar, .tar.gz, .tar.zst) to its end, refusing names that lead outside.

    `forward` gets each chunk after every header in it was judged. Raise ArchiveError for a damaged or hostile archive.
    """
    counter = _Counter(on_member)
    follower = Follower(counter, judge=Guard(strip_components).judge, checksums=checksums)
    reader = CompressedReader(path)
    try:
        while chunk := reader.read(CHUNK):
            follower.feed(chunk)
            if forward is not None:
                forward(chunk)
        follower.close()
    except ArchiveError as error:
        message = str(error)
        raise ArchiveError(message if path in message else f"The archive {path} is refused: {message}") from error
    finally:
        reader.end()
    return Read(reader.digest(), counter.files, counter.directories, counter.size, counter.root, follower.text_acls)


def extract_archive(
    path: str,
    destination: str,
    on_member: Callable[[Entry], None],
    *,
    strip_components: int = 0,
    checksums: bool = False,
    text_acls: bool = False,
) -> Read:
    """Extract an archive with GNU tar into an empty directory that nobody else can reach, reading it to its end.

    `text_acls` lets tar honour ACLs that are there as text; it would then remove those that are there as attributes.
    Raise ArchiveError when it is damaged or hostile, or tar fails; the caller removes the directory then.
    """
    options = [f"--strip-components={strip_components}", *(["--acls"] if text_acls else [])]
    tar = Child([*_EXTRACT, *options, "-C", destination], stdin=True)

    def forward(chunk: bytes) -> None:
        if tar.process.returncode is None:
            try:
                write_all(tar.stdin, chunk)
            except BrokenPipeError:
                # It has seen the archive's end and needs no padding, or failed and its own words say more.
                tar.wait()

    try:
        found = read_archive(path, on_member, forward=forward, strip_components=strip_components, checksums=checksums)
        tar.stdin.close()
        tar.wait()
    except ArchiveError as error:
        if free_bytes(destination) < _AS_GOOD_AS_FULL:
            raise ArchiveError(
                f"The archive {path} could not be extracted into {destination}: No space left on its file system. "
                f"Free some space, or restore elsewhere with to. ({error})"
            ) from error
        raise
    finally:
        tar.end()
    return found


def plain_chunks(path: str, on_member: Callable[[Entry], None]) -> Iterable[bytes]:
    """Return an archive as a plain tar stream, each chunk judged before it is given out."""
    follower = Follower(on_member, judge=Guard(0).judge)
    reader = CompressedReader(path)
    try:
        while chunk := reader.read(CHUNK):
            follower.feed(chunk)
            yield chunk
        follower.close()
    finally:
        reader.end()
