# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Follows a tar stream as it passes: what its members are, and the digest of each one's content.

The forms are those of POSIX.1-2017 (pax, ustar) and of GNU tar ("Basic Tar Format" and "Storing Sparse Files" in its
manual). Nothing is extracted here.
"""

from __future__ import annotations

import os
import stat
from hashlib import sha256
from typing import TYPE_CHECKING, Callable, Optional, Union

from ansible_collections.steward.docker.plugins.module_utils._backup import entry as kinds
from ansible_collections.steward.docker.plugins.module_utils._backup.content import MANY_HOLES, BlockDigest
from ansible_collections.steward.docker.plugins.module_utils._backup.entry import Entry
from ansible_collections.steward.docker.plugins.module_utils._backup.ordinary import BLOCK, ordinary_files
from ansible_collections.steward.docker.plugins.module_utils._backup.xattrs import ACL, acl_attribute, digest
from ansible_collections.steward.docker.plugins.module_utils._errors import ArchiveError
from ansible_collections.steward.docker.plugins.module_utils._names import printable

if TYPE_CHECKING:
    import hashlib

_ZERO_BLOCK = b"\0" * BLOCK
_ZEROS = b"\0" * (1 << 20)
# Far above what any tar writes of one file's attributes: a header that claims more is damaged.
_LONGEST_EXTENSION = 16 << 20
# A file of a million pieces has a map of some 20 MB.
_LONGEST_MAP = 256 << 20
_LONGEST_NUMBER = 20
_TYPES = {
    b"0": kinds.FILE,
    b"\0": kinds.FILE,
    b"7": kinds.FILE,
    b"1": kinds.HARD_LINK,
    b"2": kinds.SYMLINK,
    b"3": kinds.CHARACTER,
    b"4": kinds.BLOCK,
    b"5": kinds.DIRECTORY,
    b"6": kinds.FIFO,
    b"S": kinds.FILE,
}
_XATTR = b"SCHILY.xattr."
_ACL_TEXT = b"SCHILY.acl."


def _number(field: bytes) -> int:
    """Return a header's number: octal digits, or base-256 when the first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ~(0x80 << (8 * (len(field) - 1)))
        return value - (1 << (8 * len(field) - 1)) if field[0] & 0x40 else value
    digits = field.strip(b"\0 ")
    if digits and not digits.isdigit():
        # int() also takes signs and underscores.
        raise ValueError("a number that is none")
    return int(digits, 8) if digits else 0


def _nanoseconds(text: bytes) -> int:
    """Return the nanoseconds in a pax time, decimal seconds with a fraction, exactly."""
    whole, _dot, fraction = text.partition(b".")
    below = int((fraction + b"000000000")[:9])
    seconds = int(whole or b"0")
    return seconds * 10**9 - below if whole.startswith(b"-") else seconds * 10**9 + below


def _checksum_is_right(header: bytes) -> bool:
    return _number(header[148:156]) == sum(header[:148]) + 256 + sum(header[156:])


def _pax_records(data: bytes) -> dict[bytes, bytes]:
    records: dict[bytes, bytes] = {}
    position = 0
    while position < len(data) and data[position] != 0:
        space = data.index(b" ", position)
        end = position + int(data[position:space])
        if not space < end <= len(data) or data[end - 1] != 0x0A:
            raise ValueError("a record that ends elsewhere")
        equals = data.index(b"=", space, end)
        records[data[space + 1 : equals]] = data[equals + 1 : end - 1]
        position = end
    return records


def member_path(name: bytes) -> bytes:
    """Return a member's name relative to the root: without "./" before and "/" behind it."""
    path = name.rstrip(b"/")
    while path.startswith(b"./"):
        path = path[2:].lstrip(b"/")
    return b"" if path == b"." else path


class _SparseContent:
    """Hashes a file with holes as it would be read, or by its blocks where holes are very many.

    GNU's form 1.0 has a map before the data, in decimal lines.
    """

    def __init__(self, real_size: int, stored: int) -> None:
        self._real_size = real_size
        self._blocks = BlockDigest() if real_size - stored > MANY_HOLES else None
        self._map = b""
        self._segments: Optional[list[tuple[int, int]]] = None
        self._position = 0
        self._digest = sha256()

    def update(self, data: Union[bytes, memoryview]) -> None:
        if self._segments is None:
            self._map += bytes(data)
            if not self._read_map():
                return
            data, self._map = self._map, b""
        view = memoryview(data)
        segments = self._segments or []
        while view and segments:
            offset, length = segments[0]
            self._zeros_until(offset)
            taken = view[: offset + length - self._position]
            (self._blocks or self._digest).update(taken)
            self._position += len(taken)
            view = view[len(taken) :]
            if self._position >= offset + length:
                segments.pop(0)

    def _read_map(self) -> bool:
        """Parse the map once it is whole, and drop it, with its padding, from what was read."""
        first, newline, _rest = self._map.partition(b"\n")
        if (newline and not first.isdigit()) or len(first) > _LONGEST_NUMBER or len(self._map) > _LONGEST_MAP:
            raise ArchiveError("The archive is damaged: the map of a sparse file is none.")
        if not newline:
            return False
        lines = self._map.split(b"\n", 2 * int(first) + 1)
        if len(lines) < 2 * int(first) + 2:
            return False
        length = sum(len(line) + 1 for line in lines[:-1])
        padded = -(-length // BLOCK) * BLOCK
        if len(self._map) < padded:
            return False
        if not all(line.isdigit() for line in lines[1:-1]):
            raise ArchiveError("The archive is damaged: the map of a sparse file has something else than numbers.")
        numbers = [int(line) for line in lines[1:-1]]
        self._segments = [pair for pair in zip(numbers[::2], numbers[1::2]) if pair[1]]
        ends = [0, *(offset + length for offset, length in self._segments)]
        if ends[-1] > self._real_size or any(begin < end for (begin, _length), end in zip(self._segments, ends)):
            raise ArchiveError("The archive is damaged: the map of a sparse file leads back or beyond its end.")
        self._map = self._map[padded:]
        return True

    def _zeros_until(self, offset: int) -> None:
        if self._blocks is not None:
            self._blocks.skip_to(offset)
            self._position = offset
        while self._position < offset:
            count = min(len(_ZEROS), offset - self._position)
            self._digest.update(_ZEROS[:count] if count < len(_ZEROS) else _ZEROS)
            self._position += count

    def hexdigest(self) -> str:
        if self._blocks is not None:
            return self._blocks.finish(self._real_size)
        self._zeros_until(self._real_size)
        return self._digest.hexdigest()


class Follower:
    """Takes a tar stream in chunks of any length and calls back for each member.

    `on_member` gets the finished entry, its content's digest included. `judge` gets it as soon as its header is known,
    before its content passes; it raises to refuse the stream. With `wanted`, what feed() returns has only the members
    of which it is true. `checksums` checks each header's own, which costs time where the whole is hashed anyway.
    """

    def __init__(
        self,
        on_member: Callable[[Entry], None],
        judge: Optional[Callable[[Entry], None]] = None,
        wanted: Optional[Callable[[bytes], bool]] = None,
        checksums: bool = False,
    ) -> None:
        """Begin before the first header."""
        self._on_member = on_member
        self._judge = judge
        self._wanted = wanted
        self._checksums = checksums
        self._carry = b""
        self._content = 0
        self._padding = 0
        self._hash: Optional[Union[_SparseContent, hashlib._Hash]] = None
        self._entry: Optional[Entry] = None
        self._passes = True
        # Headers that belong to a member whose name is not known yet.
        self._pending = b""
        self._extension = b""
        self._records: dict[bytes, bytes] = {}
        self._global: dict[bytes, bytes] = {}
        self._long_name = b""
        self._long_link = b""
        self._zero_blocks = 0
        self.position = 0
        # Where in the stream the data begins that is being followed.
        self._begins = 0
        self.members = 0
        # Whether some ACL is there as text only, which tar has to be told to honour.
        self.text_acls = False

    @property
    def ended(self) -> bool:
        """Whether the end of the archive, two blocks of zeros, has passed."""
        return self._zero_blocks >= 2

    def feed(self, chunk: bytes) -> bytes:
        """Follow one chunk; return what of it, and of what was held back, belongs to wanted members."""
        if self._wanted is None:
            self._follow(chunk, None)
            return chunk
        kept: list[bytes] = []
        self._follow(chunk, kept)
        return b"".join(kept)

    def close(self) -> None:
        """Raise ArchiveError when the stream ended inside the archive."""
        if not self.ended or self._carry or self._content or self._padding:
            raise ArchiveError(f"The archive ends in the middle, after {self.position} bytes of tar.")

    def _follow(self, chunk: bytes, kept: Optional[list[bytes]]) -> None:
        data = self._carry + chunk if self._carry else chunk
        self._begins = self.position - len(self._carry)
        self._carry = b""
        view = memoryview(data)
        position, end = 0, len(data)
        while position < end:
            if self._content or self._padding:
                taken = min(self._content, end - position)
                if taken:
                    if self._hash is not None:
                        self._hash.update(view[position : position + taken])
                    self._content -= taken
                skipped = min(self._padding, end - position - taken) if not self._content else 0
                self._padding -= skipped
                if kept is not None and self._passes:
                    kept.append(bytes(view[position : position + taken + skipped]))
                position += taken + skipped
                if not (self._content or self._padding):
                    self._finish()
                continue
            if end - position < BLOCK:
                break
            if self._is_between():
                begun, position = position, self._take_ordinary(data, position, kept)
                if position > begun:
                    continue
            used = self._header(data, position, end, kept)
            if not used:
                break
            position += used
        self._carry = data[position:]
        self.position += len(chunk)

    def _is_between(self) -> bool:
        """Return whether nothing that came before has a bearing on the next member."""
        return not (
            self._checksums
            or self._records
            or self._global
            or self._long_name
            or self._long_link
            or self._pending
            or self._zero_blocks
        )

    def _take_ordinary(self, data: bytes, position: int, kept: Optional[list[bytes]]) -> int:
        """Follow the ordinary files from a position on; return where something begins that takes care to read."""
        for entry, after in ordinary_files(data, position):
            if self._judge is not None:
                self._judge(entry._replace(path=b"./" + entry.path))
            if self._wanted is None or self._wanted(entry.path):
                self.members += 1
                self._on_member(entry)
                if kept is not None:
                    kept.append(data[position:after])
            position = after
        return position

    def _header(self, data: bytes, position: int, end: int, kept: Optional[list[bytes]]) -> int:
        """Read the header at a position; return how many bytes it took, 0 when more are needed."""
        header = data[position : position + BLOCK]
        if header == _ZERO_BLOCK or self.ended:
            self._zero_blocks += 1
            if kept is not None:
                kept.append(header)
            return BLOCK
        kind = header[156:157]
        try:
            if self._zero_blocks:
                # tar stops at one: what comes after it would be read here and not be extracted.
                raise ValueError("a lone block of zeros before it")
            size = _number(header[124:136])
            if size < 0:
                raise ValueError("a size below zero")
            if kind in b"xgLK":
                padded = -(-size // BLOCK) * BLOCK
                if size > _LONGEST_EXTENSION or (self._checksums and not _checksum_is_right(header)):
                    raise ValueError("a damaged extension header")
                if end - position < BLOCK + padded:
                    return 0
                self._extend(kind, data[position + BLOCK : position + BLOCK + size])
                whole = data[position : position + BLOCK + padded]
                if kept is not None and kind == b"g":
                    # It is about all that follow, not about the next one.
                    kept.append(whole)
                elif kept is not None:
                    self._pending += whole
                return BLOCK + padded
            extra = self._old_sparse_blocks(data, position, end) if kind == b"S" else 0
            if extra is None:
                return 0
            self._begin(header, kind, size)
        except (ValueError, KeyError, IndexError) as error:
            raise ArchiveError(
                f"The archive is damaged: no readable header at byte {self._begins + position} of tar ({error})."
            ) from error
        if kept is not None:
            if self._passes:
                kept.append(self._pending + data[position : position + BLOCK + extra])
            self._pending = b""
        if not (self._content or self._padding):
            self._finish()
        return BLOCK + extra

    @staticmethod
    def _old_sparse_blocks(data: bytes, position: int, end: int) -> Optional[int]:
        """Return the bytes that continue the map of GNU's old sparse form, None when more data is needed."""
        extra, more = 0, data[position + 482]
        while more:
            extra += BLOCK
            if end - position < BLOCK + extra:
                return None
            more = data[position + extra + 504]
        return extra

    def _extend(self, kind: bytes, data: bytes) -> None:
        if kind == b"x":
            self._records = _pax_records(data)
        elif kind == b"g":
            self._global.update(_pax_records(data))
        elif kind == b"L":
            self._long_name = data.split(b"\0", 1)[0]
        else:
            self._long_link = data.split(b"\0", 1)[0]

    def _begin(self, header: bytes, kind: bytes, size: int) -> None:
        """Begin a member; raise KeyError or ValueError when the header is none."""
        if self._checksums and not _checksum_is_right(header):
            raise ValueError("its checksum is wrong")
        records = {**self._global, **self._records} if self._global else self._records
        name = header[:100].split(b"\0", 1)[0]
        if header[257:263] == b"ustar\0" and header[345]:
            name = header[345:500].split(b"\0", 1)[0] + b"/" + name
        name = self._long_name or name
        link = self._long_link or header[157:257].split(b"\0", 1)[0]
        entry_type = _TYPES[kind]
        mtime_ns = 0
        uid, gid = header[108:116], header[116:124]
        attributes: dict[bytes, bytes] = {}
        texts: dict[bytes, bytes] = {}
        for key, value in records.items():
            if key == b"mtime":
                mtime_ns = _nanoseconds(value)
            elif key == b"path":
                name = _text(value)
            elif key == b"linkpath":
                link = _text(value)
            elif key == b"size":
                size = int(value)
                if not value.isdigit():
                    raise ValueError("a size that is no number")
            elif key.startswith(_XATTR):
                attributes[key[len(_XATTR) :]] = value
            elif key.startswith(_ACL_TEXT):
                of = key[len(_ACL_TEXT) :]
                texts[ACL + of] = acl_attribute(value, access=of == b"access")
        for key, value in texts.items():
            # As an attribute it is there to the letter; as text it has to be put together again.
            if value and key not in attributes:
                attributes[key] = value
                self.text_acls = True
        if b"GNU.sparse.name" in records:
            name = _text(records[b"GNU.sparse.name"])
        if entry_type == kinds.FILE and name.endswith(b"/"):
            # As the old tar wrote a directory.
            entry_type = kinds.DIRECTORY
        if size and entry_type in (kinds.SYMLINK, kinds.CHARACTER, kinds.BLOCK, kinds.FIFO):
            raise ValueError("content where there can be none")
        # Hard links and directories have no content, whatever their size field says.
        length = size if entry_type == kinds.FILE else 0
        real_size = length
        self._hash = None
        if entry_type == kinds.FILE:
            if b"GNU.sparse.realsize" in records and records.get(b"GNU.sparse.major") == b"1":
                real_size = int(records[b"GNU.sparse.realsize"])
                self._hash = _SparseContent(real_size, length)
            elif kind == b"S" or b"GNU.sparse.size" in records:
                real_size = int(records.get(b"GNU.sparse.size", b"0")) or _number(header[483:495])
            else:
                self._hash = sha256()
        device = 0
        if entry_type in (kinds.CHARACTER, kinds.BLOCK):
            device = _device(header)
        self._entry = Entry(
            member_path(name),
            entry_type,
            stat.S_IMODE(_number(header[100:108])),
            int(records[b"uid"]) if b"uid" in records else _number(uid),
            int(records[b"gid"]) if b"gid" in records else _number(gid),
            real_size,
            mtime_ns or _number(header[136:148]) * 10**9,
            device,
            member_path(link) if entry_type == kinds.HARD_LINK else link if entry_type == kinds.SYMLINK else b"",
            digest(attributes) if attributes else "",
        )
        self._records, self._long_name, self._long_link = {}, b"", b""
        if self._judge is not None:
            self._judge(self._entry._replace(path=name))
        self._passes = self._wanted is None or self._wanted(self._entry.path)
        if (
            self._wanted is not None
            and self._passes
            and entry_type == kinds.HARD_LINK
            and not self._wanted(self._entry.target)
        ):
            raise ArchiveError(
                f"The file {printable(self._entry.path)} is another name of {printable(self._entry.target)}, which is "
                "excluded. Exclude both or neither."
            )
        self._content = length
        self._padding = -length % BLOCK

    def _finish(self) -> None:
        if self._entry is None:
            return
        if self._passes:
            self.members += 1
            self._on_member(self._entry if self._hash is None else self._entry._replace(sha256=self._hash.hexdigest()))
        self._entry = self._hash = None


def _text(value: bytes) -> bytes:
    if b"\0" in value:
        # tar would stop there, and extract another name than the one that was judged.
        raise ValueError("a name with a null byte")
    return value


def _device(header: bytes) -> int:
    return os.makedev(_number(header[329:337]), _number(header[337:345]))
