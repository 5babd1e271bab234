# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of content: the same from a file with holes, from one without, and in pieces of any length."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ansible_collections.steward.docker.plugins.module_utils._backup.content import MARK, BlockDigest, digest_as

if TYPE_CHECKING:
    from pathlib import Path

_PIECES = some.lists(some.tuples(some.integers(0, 9000), some.binary(max_size=20), some.integers(0, 9000)), max_size=6)


def _of(pieces: list[tuple[int, bytes]], size: int) -> str:
    found = BlockDigest()
    for offset, data in pieces:
        found.skip_to(offset)
        found.update(data)
    return found.finish(size)


@given(_PIECES, some.integers(0, 9000), some.integers(1, 9000))
def test_holes_and_written_zeros_are_the_same(pieces: list[tuple[int, bytes, int]], behind: int, chunk: int) -> None:
    content = b""
    placed = []
    for gap, data, zeros in pieces:
        content += bytes(gap)
        placed.append((len(content), data + bytes(zeros)))
        content += data + bytes(zeros)
    content += bytes(behind)
    whole = _of([(0, content)], len(content))
    assert _of(placed, len(content)) == whole
    assert _of([(at, content[at : at + chunk]) for at in range(0, len(content), chunk)], len(content)) == whole
    assert whole.startswith(MARK)
    other = bytearray(content)
    if other:
        other[len(other) // 2] ^= 1
        assert _of([(0, bytes(other))], len(other)) != whole
    assert _of([(0, content)], len(content) + 1) != whole


def test_a_file_is_digested_in_the_form_of_the_known_digest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(b"begin")
        file.seek(3 << 40)
        file.write(b"end")
    with path.open("rb") as file:
        pieces = [(0, b"begin"), (3 << 40, b"end")]
        assert digest_as(file.fileno(), path.stat().st_size, MARK) == _of(pieces, path.stat().st_size)
    small = tmp_path / "small"
    small.write_bytes(b"small")
    with small.open("rb") as file:
        assert digest_as(file.fileno(), 5, "") == sha256(b"small").hexdigest()


@pytest.mark.parametrize("known", ["", MARK])
@pytest.mark.parametrize("size", [4, 6], ids=["longer than it was", "shorter than it was"])
def test_a_file_of_another_size_has_none(known: str, size: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"small")
    with path.open("rb") as file:
        found = digest_as(file.fileno(), size, known)
    assert found == "" or (known and size == 6 and found != _of([(0, b"small")], 5))


def test_no_more_is_read_than_the_size() -> None:
    with open("/dev/zero", "rb", buffering=0) as endless:
        assert digest_as(endless.fileno(), 1 << 20, "") == ""
