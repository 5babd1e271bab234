# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of files, volumes and labels on their way out of a module: always valid UTF-8, and reversible."""

from __future__ import annotations

import os
import re
from typing import Union

_SHORT = {0x5C: "\\\\", 0x0A: "\\n", 0x09: "\\t", 0x0D: "\\r"}
_LONG = {"\\": b"\\", "n": b"\n", "t": b"\t", "r": b"\r"}
_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.DOTALL)
_FILE_NAME_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.")


def printable(name: Union[str, bytes, os.PathLike[str]]) -> str:
    r"""Return a name as valid UTF-8 on one line: stray bytes and control characters as `\xNN`, a backslash doubled."""
    raw = os.fsencode(name)
    if raw.isascii() and b"\\" not in raw:
        text = raw.decode("ascii")
        if text.isprintable():
            return text
    parts: list[str] = []
    for char in raw.decode("utf-8", "surrogateescape"):
        code = ord(char)
        if 0xDC80 <= code <= 0xDCFF:
            parts.append(f"\\x{code - 0xDC00:02x}")
        elif code in _SHORT:
            parts.append(_SHORT[code])
        elif char.isprintable():
            parts.append(char)
        else:
            parts.extend(f"\\x{byte:02x}" for byte in char.encode("utf-8"))
    return "".join(parts)


def unprintable(text: Union[str, bytes]) -> bytes:
    """Return the name that printable() was given. Raise ValueError for what it cannot have written."""
    raw = text.encode("utf-8") if isinstance(text, str) else text
    if b"\\" not in raw:
        return raw

    def original(found: re.Match[bytes]) -> bytes:
        code = found.group(1).decode("utf-8", "replace")
        if len(code) == 3:
            return bytes([int(code[1:], 16)])
        if code not in _LONG:
            raise ValueError(f"\\{code} is no escape")
        return _LONG[code]

    return _ESCAPE.sub(original, raw)


def escape_path(path: Union[str, bytes]) -> str:
    """Return a path as one file name, as systemd-escape does: `/` becomes `-`, what is unusual becomes `%XX`."""
    raw = os.fsencode(path).strip(b"/")
    parts = ["-" if byte == 0x2F else chr(byte) if byte in _FILE_NAME_SAFE else f"%{byte:02X}" for byte in raw]
    # A leading dot would hide it, and "." and ".." are no names.
    return "".join("%2E" if index == 0 and part == "." else part for index, part in enumerate(parts)) or "-"


def unescape_path(name: str) -> str:
    """Return the absolute path that escape_path() was given."""
    if name == "-":
        return "/"
    raw = re.sub(
        rb"%([0-9A-F]{2})", lambda found: bytes([int(found.group(1), 16)]), name.replace("-", "/").encode("ascii")
    )
    return "/" + os.fsdecode(raw)
