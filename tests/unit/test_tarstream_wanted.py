# SPDX-License-Identifier: GPL-3.0-or-later
"""What the follower of a tar stream lets through when only some members are wanted."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from tar_blocks import END, member, pax, record

from ansible_collections.steward.docker.plugins.module_utils._backup.exclude import Excludes
from ansible_collections.steward.docker.plugins.module_utils._backup.tarstream import Follower
from ansible_collections.steward.docker.plugins.module_utils._errors import ArchiveError

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.steward.docker.plugins.module_utils._backup.entry import Entry

_LONG = "n" * 150


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a tree of which parts are to be left out."""
    root = tmp_path / "tree"
    for directory in ("cache/deep", "data"):
        (root / directory).mkdir(parents=True)
    for name in ("cache/deep/a", "cache/b", "data/keep", "data/x.tmp", f"data/{_LONG}", f"data/{_LONG}.tmp", "last"):
        (root / name).write_bytes(name.encode() * 50)
    (root / "data" / "linked").hardlink_to(root / "data" / "keep")
    with (root / "data" / "sparse.tmp").open("wb") as file:
        for offset in (1 << 20, 2 << 20):
            file.seek(offset)
            file.write(b"x" * 700)
    return root


def _tar(*arguments: str, data: bytes = b"") -> bytes:
    return subprocess.run(["tar", *arguments], check=True, capture_output=True, input=data).stdout


def _listed(archive: bytes) -> list[str]:
    return _tar("-t", "-f", "-", data=archive).decode().splitlines()


def _filter(archive: bytes, globs: list[str], chunk: int) -> tuple[bytes, list[Entry]]:
    excludes = Excludes(globs)
    found: list[Entry] = []
    follower = Follower(found.append, wanted=lambda path: not excludes.match(path))
    kept = b"".join(follower.feed(archive[at : at + chunk]) for at in range(0, len(archive), chunk))
    follower.close()
    return kept, found


@pytest.mark.parametrize("form", ["posix", "gnu"])
@pytest.mark.parametrize("chunk", [1, 511, 512, 513, 10_000, 1 << 30])
def test_tar_reads_what_is_let_through_and_finds_only_the_wanted_members(tree: Path, form: str, chunk: int) -> None:
    archive = _tar("-c", f"--format={form}", "--sparse", "--sort=name", "-C", str(tree), ".")
    kept, found = _filter(archive, ["cache", "*.tmp"], chunk)
    assert _listed(kept) == ["./", "./data/", "./data/keep", "./data/linked", f"./data/{_LONG}", "./last"]
    assert [f"./{entry.path.decode()}" + "/" * (entry.type == "d" and entry.path != b"") for entry in found] == _listed(
        kept
    )


def test_what_is_let_through_can_be_extracted_whole(tree: Path, tmp_path: Path) -> None:
    kept, _found = _filter(_tar("-c", "-C", str(tree), "."), ["cache", "*.tmp"], 513)
    (tmp_path / "out").mkdir()
    _tar("-x", "-C", str(tmp_path / "out"), data=kept)
    for name in ("data/keep", "data/linked", f"data/{_LONG}", "last"):
        assert (tmp_path / "out" / name).read_bytes() == (tree / name).read_bytes()


@pytest.mark.parametrize("chunk", [1, 513, 1 << 30])
def test_what_is_wholly_wanted_passes_unchanged(tree: Path, chunk: int) -> None:
    archive = _tar("-c", "--format=posix", "--sparse", "-C", str(tree), ".")
    assert _filter(archive, ["nothing"], chunk)[0] == archive


def test_a_hard_link_to_what_is_left_out_is_refused(tree: Path) -> None:
    archive = _tar("-c", "--sort=name", "-C", str(tree), ".")
    with pytest.raises(ArchiveError, match=r"data/linked is another name of data/keep, which is excluded"):
        _filter(archive, ["keep"], 512)


def test_a_hard_link_is_left_out_with_its_file(tree: Path) -> None:
    archive = _tar("-c", "--sort=name", "-C", str(tree), ".")
    assert not {"./data/keep", "./data/linked"} & set(_listed(_filter(archive, ["keep", "linked"], 512)[0]))


def test_a_header_for_all_that_follow_passes_although_the_next_member_does_not() -> None:
    header = pax(record(b"mtime", b"1000000000"), kind=b"g")
    kept, _found = _filter(header + member(b"cache") + member(b"data") + END, ["cache"], 512)
    assert kept == header + member(b"data") + END
