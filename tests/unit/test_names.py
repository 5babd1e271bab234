# SPDX-License-Identifier: GPL-3.0-or-later
"""Names on their way out of a module, and back."""

from __future__ import annotations

import os

import pytest

from ansible_collections.steward.docker.plugins.module_utils._names import (
    escape_path,
    printable,
    unescape_path,
    unprintable,
)

_PRINTED = {
    "empty": (b"", ""),
    "plain": (b"var/lib/a file.txt", "var/lib/a file.txt"),
    "backslash": (b"a\\b", r"a\\b"),
    "backslash that looks like an escape": (b"a\\x41\\n", r"a\\x41\\n"),
    "backslash at the end": (b"a\\", r"a\\"),
    "newline": (b"a\nb", r"a\nb"),
    "tab": (b"a\tb", r"a\tb"),
    "carriage return": (b"a\rb", r"a\rb"),
    "control characters": (b"\x01\x1b[31m\x7f", r"\x01\x1b[31m\x7f"),
    "stray byte": (b"caf\xe9", r"caf\xe9"),
    "stray byte beside a letter": ("é".encode() + b"\xff", r"é\xff"),
    "cut off letter": (b"\xc3", r"\xc3"),
    "encoded surrogate": (b"\xed\xa0\x80", r"\xed\xa0\x80"),
    "letters": ("äöü/日本/😀".encode(), "äöü/日本/😀"),
    "no-break space": ("a\u00a0b".encode(), r"a\xc2\xa0b"),
    "line separator": ("a\u2028b".encode(), r"a\xe2\x80\xa8b"),
    "right-to-left override": ("a\u202eb".encode(), r"a\xe2\x80\xaeb"),
    "newline after a backslash": (b"\\\n", r"\\\n"),
}
_prints = pytest.mark.parametrize(("raw", "text"), _PRINTED.values(), ids=_PRINTED.keys())


@_prints
def test_a_name_is_printed_on_one_line_as_valid_utf8(raw: bytes, text: str) -> None:
    assert printable(raw) == text
    assert len(printable(raw).encode("utf-8").splitlines()) == (1 if raw else 0)


@_prints
def test_a_printed_name_can_be_read_back_from_text_and_from_bytes(raw: bytes, text: str) -> None:
    assert unprintable(text) == raw
    assert unprintable(text.encode()) == raw


def test_every_byte_comes_back_alone_and_beside_each_kind_of_neighbour() -> None:
    names = [pair for byte in range(256) for pair in (bytes([byte]), b"\\" + bytes([byte]), b"\xc3" + bytes([byte]))]
    assert [unprintable(printable(name)) for name in names] == names


def test_different_names_are_printed_differently() -> None:
    raws = [raw for raw, _text in _PRINTED.values()] + [rb"a\nb", rb"caf\xe9", rb"a\\b"]
    assert len({printable(raw) for raw in raws}) == len(raws)


def test_a_name_from_the_operating_system_prints_as_its_bytes_do() -> None:
    assert printable(os.fsdecode(b"caf\xe9")) == printable(b"caf\xe9")


_ESCAPED = {
    "root": ("/", "-"),
    "directory": ("/srv/data", "srv-data"),
    "dash": ("/srv/my-data", "srv-my%2Ddata"),
    "percent": ("/srv/100%", "srv-100%25"),
    "escape taken literally": ("/srv/%2D", "srv-%252D"),
    "dot": ("/.", "%2E"),
    "two dots": ("/..", "%2E."),
    "leading dot": ("/.cache/x", "%2Ecache-x"),
    "dot further on": ("/srv/.cache", "srv-.cache"),
    "space": ("/srv/my data", "srv-my%20data"),
    "colon and comma": ("/a:b,c", "a%3Ab%2Cc"),
    "letter": ("/é", "%C3%A9"),
    "stray byte": (os.fsdecode(b"/caf\xe9"), "caf%E9"),
    "newline": ("/a\nb", "a%0Ab"),
    "backslash": ("/a\\b", "a%5Cb"),
}
_escapes = pytest.mark.parametrize(("path", "name"), _ESCAPED.values(), ids=_ESCAPED.keys())


@_escapes
def test_a_path_becomes_one_visible_file_name(path: str, name: str) -> None:
    assert escape_path(path) == name
    assert name.isascii()
    assert "/" not in name
    assert not name.startswith(".")


@_escapes
def test_an_escaped_path_comes_back(path: str, name: str) -> None:
    assert unescape_path(name) == path


@pytest.mark.parametrize("path", ["/srv/data/", "//srv/data", "srv/data"])
def test_slashes_around_a_path_make_no_other_name(path: str) -> None:
    assert escape_path(path) == "srv-data"


def test_a_path_in_bytes_is_escaped_as_its_text_is() -> None:
    assert escape_path(b"/caf\xe9") == escape_path(os.fsdecode(b"/caf\xe9"))
