# SPDX-License-Identifier: GPL-3.0-or-later
"""Tar archives made block by block, also such as no tar would make."""

from __future__ import annotations

END = b"\0" * 1024


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 512)


def member(
    name: bytes,
    kind: bytes = b"0",
    content: bytes = b"",
    *,
    link: bytes = b"",
    size: bytes = b"",
    magic: bytes = b"ustar\x0000",
) -> bytes:
    """Return a member: its header with a right checksum, and its content. `size` is that field as it is to be."""
    header = bytearray(512)
    for position, field in (
        (0, name),
        (100, b"0000644"),
        (108, b"0000000"),
        (116, b"0000000"),
        (124, size or b"%011o" % len(content)),
        (136, b"%011o" % 1),
        (148, b" " * 8),
        (156, kind),
        (157, link),
        (257, magic),
    ):
        header[position : position + len(field)] = field
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + _padded(content)


def record(key: bytes, value: bytes) -> bytes:
    """Return a pax record, whose length counts its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest


def pax(*records: bytes, kind: bytes = b"x") -> bytes:
    """Return a pax header for the next member, or with `g` for all that follow."""
    return member(b"pax", kind, b"".join(records))


def negative(number: int) -> bytes:
    """Return a header's 12-byte number in base-256, as a negative one is written."""
    return (number & ((1 << 96) - 1)).to_bytes(12, "big")
