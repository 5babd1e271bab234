# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of lines, one for each entry of a tree: the index beside an archive, and the saved walk of a host.

The first line is a JSON object that says what the file is; the entries follow in the walk's order.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

from ansible_collections.steward.docker.plugins.module_utils._backup.compress import (
    CompressedReader,
    CompressedWriter,
    Compression,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.entry import encode
from ansible_collections.steward.docker.plugins.module_utils._errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ansible_collections.steward.docker.plugins.module_utils._backup.entry import Entry

FORMAT = 1
_BATCH = 1 << 18
_CHUNK = 1 << 20


class LineWriter:
    """Writes the header and then one line for each entry."""

    def __init__(self, sink: BinaryIO, compression: Compression, header: Mapping[str, Any]) -> None:
        """Begin the file."""
        self._writer = CompressedWriter(sink, compression)
        self._lines = [json.dumps({"format": FORMAT, **header}, sort_keys=True).encode() + b"\n"]
        self._length = 0

    def add(self, entry: Entry) -> None:
        """Write one entry's line."""
        line = encode(entry)
        self._lines.append(line)
        self._length += len(line)
        if self._length > _BATCH:
            self._flush()

    def _flush(self) -> None:
        self._writer.write(b"".join(self._lines))
        self._lines.clear()
        self._length = 0

    def close(self) -> str:
        """Finish the file and return its SHA-256."""
        self._flush()
        return self._writer.close()

    def end(self) -> None:
        """Leave nothing running, in every outcome."""
        self._writer.end()


class LineReader:
    """Reads such a file; iterating gives the entries' lines. Raise ArchiveError when it is damaged."""

    def __init__(self, path: str) -> None:
        """Open the file and read its header."""
        self._path = path
        self._reader = CompressedReader(path)
        self._lines = self._split()
        try:
            self.header: dict[str, Any] = json.loads(next(self._lines, b""))
        except ValueError as error:
            self.end()
            raise ArchiveError(f"The file {path} is damaged: its first line is no header.") from error
        if self.header.get("format") != FORMAT:
            self.end()
            raise ArchiveError(f"The file {path} has the format {self.header.get('format')}; {FORMAT} is known here.")

    def _split(self) -> Iterator[bytes]:
        rest = b""
        while chunk := self._reader.read(_CHUNK):
            lines = (rest + chunk).splitlines(keepends=True) if rest else chunk.splitlines(keepends=True)
            rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
            yield from lines
        if rest:
            raise ArchiveError(f"The file {self._path} is damaged: it ends in the middle of a line.")

    def __iter__(self) -> Iterator[bytes]:
        return self._lines

    def __enter__(self) -> LineReader:
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the file."""
        self.end()

    def digest(self) -> str:
        """Return the SHA-256 of the file; right once all lines were read."""
        return self._reader.digest()

    def end(self) -> None:
        """Leave nothing running and open, in every outcome."""
        self._reader.end()
