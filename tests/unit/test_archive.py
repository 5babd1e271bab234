# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that were made elsewhere, as other tars write them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from ansible_collections.steward.docker.plugins.module_utils._backup.archive import extract_archive

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("blocks", [1, 20, 2048, 20480])
@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.zst"])
def test_padding_of_any_length_is_read_to_its_end(suffix: str, blocks: int, tmp_path: Path) -> None:
    """The extracting tar leaves once it has seen the end, while padding is still on its way to it."""
    (tmp_path / "from").mkdir()
    (tmp_path / "from/page").write_bytes(b"x" * 5000)
    archive = tmp_path / f"made.{suffix}"
    subprocess.run(["tar", "-C", tmp_path / "from", "-b", str(blocks), "-caf", archive, "."], check=True)
    for number in range(3):
        into = tmp_path / f"to{number}"
        into.mkdir()
        found = extract_archive(str(archive), str(into), lambda _entry: None)
        assert (found.files, found.size) == (1, 5000)
        assert (into / "page").read_bytes() == b"x" * 5000
