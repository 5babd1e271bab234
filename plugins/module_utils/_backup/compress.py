# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compression by the host's own programs, hashed on the way."""

from __future__ import annotations

import errno
import os
from hashlib import sha256
from typing import BinaryIO, NamedTuple, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup.children import Child, Pump, available, write_all
from ansible_collections.steward.docker.plugins.module_utils._errors import ArchiveError, StewardError, StoreError


class Compression(NamedTuple):
    """A way to compress: its name, the suffix it gives a file, the first bytes it is known by, its default level."""

    name: str
    suffix: str
    magic: bytes
    level: int


ZSTD = Compression("zstd", ".zst", b"\x28\xb5\x2f\xfd", 3)
GZIP = Compression("gzip", ".gz", b"\x1f\x8b", 6)
NONE = Compression("none", "", b"", 0)
_ALL = {compression.name: compression for compression in (ZSTD, GZIP, NONE)}


_HIGHEST = {ZSTD.name: 19, GZIP.name: 9, NONE.name: 0}


def choose_compression(name: str) -> Compression:
    """Return the compression of that name; without zstd on this host, gzip takes its place."""
    return GZIP if name == ZSTD.name and not available("zstd") else _ALL[name]


def detect_compression(first: bytes) -> Compression:
    """Return the compression that a file's first bytes show."""
    return next((found for found in (ZSTD, GZIP) if first.startswith(found.magic)), NONE)


def _command(compression: Compression, level: Optional[int]) -> list[str]:
    # Without zstd on a host, gzip takes over, and has no level as high.
    chosen = f"-{min(level or compression.level, _HIGHEST[compression.name])}"
    return ["zstd", "-q", "-c", "-T0", chosen] if compression is ZSTD else ["gzip", "-n", "-c", chosen]


def refuse_level(compression: str, level: Optional[int]) -> None:
    """Raise StewardError for a level that the compression does not have."""
    if level is not None and not 1 <= level <= _HIGHEST[compression]:
        known = f"from 1 to {_HIGHEST[compression]}" if _HIGHEST[compression] else "no level"
        raise StewardError(f"The option compression_level is {level}; the compression {compression} has {known}.")


class CompressedWriter:
    """Compresses what is written into a sink and hashes what the sink gets."""

    def __init__(self, sink: BinaryIO, compression: Compression, level: Optional[int] = None) -> None:
        """Start the compressor."""
        self._sink = sink
        self._hash = sha256()
        self.stored = 0
        self._child: Optional[Child] = None
        if compression is not NONE:
            self._child = Child(_command(compression, level), stdin=True, stdout=True)
            self._pump = Pump(self._child.stdout.read, self._store, self._child.stdout.close)

    def _store(self, chunk: bytes) -> None:
        try:
            write_all(self._sink, chunk)
        except OSError as error:
            remedy = (
                " Free some space there, or keep fewer backups." if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
            )
            where = os.path.dirname(os.fspath(self._sink.name))
            raise StoreError(f"Could not write into {where}: {error.strerror}.{remedy}") from error
        self._hash.update(chunk)
        self.stored += len(chunk)

    def write(self, chunk: bytes) -> None:
        """Write some bytes. Raise StoreError when the sink does not take them."""
        if self._child is None:
            self._store(chunk)
            return
        try:
            write_all(self._child.stdin, chunk)
        except BrokenPipeError:
            self._pump.finish()
            self._child.wait()
            raise

    def close(self) -> str:
        """Finish the stream and return the SHA-256 of what the sink got."""
        if self._child is not None:
            self._child.stdin.close()
            self._pump.finish()
            self._child.wait()
        return self._hash.hexdigest()

    def end(self) -> None:
        """Leave nothing running, in every outcome."""
        if self._child is not None:
            self._child.end()
            self._pump.join()


class CompressedReader:
    """Decompresses a file in chunks and hashes the file's own bytes on the way."""

    def __init__(self, path: str) -> None:
        """Open the file and start the decompressor that its first bytes ask for."""
        try:
            self._file = open(path, "rb", buffering=0)
        except OSError as error:
            raise ArchiveError(f"Could not read the archive {path}: {error.strerror}.") from error
        self.path = path
        self.compression = detect_compression(self._file.read(8))
        self._file.seek(0)
        self._hash = sha256()
        self.stored = 0
        self._child: Optional[Child] = None
        if self.compression is not NONE:
            self._child = Child([self.compression.name, "-d", "-q", "-c"], stdin=True, stdout=True)
            stdin = self._child.stdin
            self._pump = Pump(self._load, lambda chunk: write_all(stdin, chunk), stdin.close)

    def _load(self, count: int) -> bytes:
        chunk = self._file.read(count)
        self._hash.update(chunk)
        self.stored += len(chunk)
        return chunk

    def read(self, count: int) -> bytes:
        """Return up to so many bytes, none at the end; raise ArchiveError when the file is damaged."""
        try:
            chunk = self._load(count) if self._child is None else self._child.stdout.read(count)
        except OSError as error:
            raise ArchiveError(f"Could not read the archive {self.path}: {error.strerror}.") from error
        if not chunk and self._child is not None:
            self._finish()
        return chunk or b""

    def _finish(self) -> None:
        if self._child is None:
            return
        try:
            self._child.wait()
            self._pump.finish()
        except ArchiveError as error:
            raise ArchiveError(f"The archive {self.path} is damaged: {error}") from error
        except OSError as error:
            raise ArchiveError(f"Could not read the archive {self.path}: {error.strerror}.") from error

    def digest(self) -> str:
        """Return the SHA-256 of the file; right once read() has returned nothing."""
        return self._hash.hexdigest()

    def end(self) -> None:
        """Leave nothing running and open, in every outcome."""
        if self._child is not None:
            self._child.end()
            self._pump.join()
        self._file.close()
