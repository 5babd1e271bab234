# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Digests of files' content: of all of it, or, where nearly all is holes, of the blocks that say something.

A file of a terabyte can take no space at all. To hash its zeros would take an hour, with its writers held still.
"""

from __future__ import annotations

import errno
import os
import struct
from hashlib import sha256
from typing import Union

# More holes than this, and a file's digest is one of its blocks.
MANY_HOLES = 1 << 30
# What a digest of blocks begins with.
MARK = "blocks:"
_BLOCK = 4096
_ZEROS = bytes(_BLOCK)
_CHUNK = 1 << 20


class BlockDigest:
    """A digest over the blocks that are not all zeros, each behind its number, and over the size.

    It is the same whether zeros are holes or were written.
    """

    def __init__(self) -> None:
        """Begin at the file's beginning."""
        self._digest = sha256()
        self._position = 0
        self._partial = bytearray()

    def skip_to(self, offset: int) -> None:
        """Take all up to an offset for zeros."""
        if self._partial:
            self._fill(bytes(min(offset - self._position, _BLOCK - len(self._partial))))
        if self._position < offset:
            begin = max(self._position, offset // _BLOCK * _BLOCK)
            self._partial = bytearray(offset - begin)
            self._position = offset

    def update(self, data: Union[bytes, memoryview]) -> None:
        """Take the data that comes next."""
        view = memoryview(data)
        if self._partial:
            taken = view[: _BLOCK - len(self._partial)]
            self._fill(taken)
            view = view[len(taken) :]
        whole = len(view) // _BLOCK * _BLOCK
        for begin in range(0, whole, _BLOCK):
            self._note(self._position + begin, view[begin : begin + _BLOCK])
        self._partial += view[whole:]
        self._position += len(view)

    def _fill(self, data: Union[bytes, memoryview]) -> None:
        self._partial += data
        self._position += len(data)
        if len(self._partial) == _BLOCK:
            self._note(self._position - _BLOCK, self._partial)
            self._partial = bytearray()

    def _note(self, offset: int, block: Union[bytes, bytearray, memoryview]) -> None:
        if block != _ZEROS:
            self._digest.update(struct.pack("<Q", offset // _BLOCK))
            self._digest.update(block)

    def finish(self, size: int) -> str:
        """Return the digest of a file of that size."""
        self.skip_to(size)
        if self._partial:
            self._fill(bytes(_BLOCK - len(self._partial)))
        self._digest.update(struct.pack("<Q", size))
        return MARK + self._digest.hexdigest()


def digest_as(descriptor: int, size: int, known: str) -> str:
    """Return the digest of an open file of that size in the form of a known one; "" when there is more in it.

    No more is read than the size: another process may go on writing for ever.
    """
    return _of_blocks(descriptor, size) if known.startswith(MARK) else _of_all(descriptor, size)


def _of_all(descriptor: int, size: int) -> str:
    total = sha256()
    left = size
    while left:
        data = os.read(descriptor, min(left, _CHUNK))
        if not data:
            return ""
        total.update(data)
        left -= len(data)
    return "" if os.read(descriptor, 1) else total.hexdigest()


def _of_blocks(descriptor: int, size: int) -> str:
    found = BlockDigest()
    position = 0
    while position < size:
        try:
            position = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            # Nothing but a hole is left.
            break
        end = min(os.lseek(descriptor, position, os.SEEK_HOLE), size)
        if position >= end:
            break
        found.skip_to(position)
        while position < end:
            data = os.pread(descriptor, min(end - position, _CHUNK), position)
            if not data:
                return ""
            found.update(data)
            position += len(data)
    return "" if os.pread(descriptor, 1, size) else found.finish(size)
