# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The short way through a tar stream: regular files as GNU tar writes nearly all of them, known by their form.

A form that is not exactly this is no error: it is left to the follower, which takes every form with care.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

from ansible_collections.steward.docker.plugins.module_utils._backup.entry import FILE, Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 512
# A pax header, and its content if that is one record with the time: its size, the record's length, seconds, fraction.
_TIME = re.compile(rb".{124}0{9}([0-7]{2})\0.{20}x.{355}(\d\d) mtime=(\d{1,11})\.(\d{1,9})\n", re.DOTALL)
# A ustar header of type 0, without a prefix of the name: path, mode, uid, gid, size, seconds.
_FILE = re.compile(
    rb"(?=\./([^\0./][^\0]{0,96})(?<!/)\0).{100}([0-7]{7})\0([0-7]{7})\0([0-7]{7})\0([0-7]{11})\0([0-7]{11})\0.{8}0.{188}\0",
    re.DOTALL,
)


def ordinary_files(data: bytes, position: int) -> Iterator[tuple[Entry, int]]:
    """Yield the ordinary files that lie whole and without a gap from a position on, each with where it ends."""
    view = memoryview(data)
    end = len(data)
    while True:
        mtime_ns, header = 0, position
        time = _TIME.match(data, position)
        if time is not None:
            length, claimed, seconds, fraction = time.groups()
            if not time.end() - position - BLOCK == int(length, 8) == int(claimed):
                return
            mtime_ns, header = int(seconds + fraction.ljust(9, b"0")), position + 2 * BLOCK
        file = _FILE.match(data, header)
        if file is None:
            return
        path, mode, uid, gid, digits, whole_seconds = file.groups()
        begin, size = header + BLOCK, int(digits, 8)
        position = begin + size + -size % BLOCK
        if position > end:
            return
        entry = Entry(
            path,
            FILE,
            int(mode, 8) & 0o7777,
            int(uid, 8),
            int(gid, 8),
            size,
            mtime_ns or int(whole_seconds, 8) * 10**9,
            sha256=sha256(view[begin : begin + size]).hexdigest(),
        )
        yield entry, position
