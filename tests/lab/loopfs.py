# SPDX-License-Identifier: GPL-3.0-or-later
"""Small file systems of their own, on loop devices."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lab.engine import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-m", "0"],
    "xfs": ["mkfs.xfs", "-q", "-f", "-m", "reflink=1"],
}


@contextmanager
def loop_file_system(directory: Path, megabytes: int, kind: str = "ext4", options: str = "") -> Iterator[Path]:
    """Yield a mount point in the directory with a file system of that size on it; unmount and remove it afterwards."""
    image, point = directory / f"{kind}.img", directory / kind
    point.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    run(*_MAKE[kind], str(image))
    run("mount", "-o", ",".join(["loop", *([options] if options else [])]), str(image), str(point))
    try:
        yield point
    finally:
        run("umount", "--lazy", str(point))
        image.unlink()
