# SPDX-License-Identifier: GPL-3.0-or-later
"""The trees that are backed up: the same in every run, half of each file compressible."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FILES_PER_DIRECTORY = 100
# In bytes; their mean is 4000.
SMALLEST, LARGEST = 1000, 7000
LARGE = 1_000_000_000
TINY_PER_DIRECTORY = 1000
_BLOCK = 1 << 16
_WORDS = 400_000


class _Content:
    """Gives bytes of which one half is text and the other is random."""

    def __init__(self) -> None:
        """Make a stock of text to cut from."""
        self.random = random.Random(1)
        vocabulary = [self.random.randbytes(self.random.randint(1, 5)).hex() for _number in range(2000)]
        self._text = " ".join(self.random.choices(vocabulary, k=_WORDS)).encode()

    def take(self, size: int) -> bytes:
        """Return so many bytes."""
        text = size // 2
        start = self.random.randrange(len(self._text) - text)
        return self._text[start : start + text] + self.random.randbytes(size - text)


def small_files(root: Path, count: int) -> None:
    """Write so many small files, a hundred to a directory."""
    content = _Content()
    for number in range(count):
        directory = root / f"directory{number // FILES_PER_DIRECTORY:04}"
        if number % FILES_PER_DIRECTORY == 0:
            directory.mkdir()
        (directory / f"file{number:06}.dat").write_bytes(content.take(content.random.randint(SMALLEST, LARGEST)))


def large_file(root: Path) -> None:
    """Write one file of 1 GB."""
    content = _Content()
    with (root / "large.dat").open("wb") as file:
        for start in range(0, LARGE, _BLOCK):
            file.write(content.take(min(_BLOCK, LARGE - start)))


def tiny_files(root: Path, count: int) -> None:
    """Write so many tiny files, a thousand to a directory."""
    for number in range(count):
        directory = root / f"directory{number // TINY_PER_DIRECTORY:04}"
        if number % TINY_PER_DIRECTORY == 0:
            directory.mkdir()
        (directory / f"file{number:07}").write_bytes(f"{number}\n".encode())
