# SPDX-License-Identifier: GPL-3.0-or-later
"""What the follower of a tar stream sees in archives that GNU tar made."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from ansible_collections.steward.docker.plugins.module_utils._backup.entry import Entry
from ansible_collections.steward.docker.plugins.module_utils._backup.tarstream import Follower, member_path
from ansible_collections.steward.docker.plugins.module_utils._backup.xattrs import digest_of

if TYPE_CHECKING:
    from pathlib import Path

_CHUNKS = [1, 511, 512, 513, 4096, 10_000, 1 << 30]
_chunked = pytest.mark.parametrize("chunk", _CHUNKS, ids=["1", "511", "512", "513", "4096", "10000", "one piece"])
_LONG = "long-" + "n" * 200
_DEEP = "/".join(["deep" * 10] * 4)


def _create(tree: Path, *options: str) -> bytes:
    command = ["tar", "-c", "--sort=name", "--numeric-owner", *options, "-C", str(tree), "."]
    return subprocess.run(command, check=True, capture_output=True).stdout


_POSIX = (
    "--format=posix",
    "--pax-option=delete=atime,delete=ctime",
    "--sparse",
    "--acls",
    "--xattrs",
    "--xattrs-include=*",
)


def _follow(archive: bytes, chunk: int) -> list[Entry]:
    # With checksums every header is taken with care; without, ordinary files go the short way.
    careful, short = (_follow_one_way(archive, chunk, checksums=checksums) for checksums in (True, False))
    assert short == careful
    return careful


def _follow_one_way(archive: bytes, chunk: int, *, checksums: bool) -> list[Entry]:
    found: list[Entry] = []
    follower = Follower(found.append, checksums=checksums)
    for position in range(0, len(archive), chunk):
        piece = archive[position : position + chunk]
        assert follower.feed(piece) == piece
    follower.close()
    assert follower.members == len(found)
    assert follower.position == len(archive)
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a tree with everything that an unprivileged user can make."""
    root = tmp_path / "tree"
    (root / _DEEP).mkdir(parents=True)
    (root / "empty").write_bytes(b"")
    (root / "block").write_bytes(b"b" * 512)
    (root / "odd").write_bytes(b"odd" * 1000)
    (root / "set-id").write_bytes(b"x")
    (root / "set-id").chmod(0o4711)
    (root / "sticky").mkdir()
    (root / "sticky").chmod(0o1777)
    (root / _LONG).write_bytes(b"long")
    (root / _DEEP / _LONG).write_bytes(b"deep")
    (root / "zz-hard").hardlink_to(root / "odd")
    (root / "zz-link").symlink_to("odd")
    (root / "zz-long-link").symlink_to("../" * 60 + "nowhere")
    os.mkfifo(root / "fifo")
    for name in (b"caf\xe9", "日本".encode(), b"new\nline", b" space ", b"back\\slash", b"-rf", b"=", b"100%"):
        with open(os.path.join(os.fsencode(root), name), "wb") as file:
            file.write(name)
    with (root / "sparse").open("wb") as file:
        for offset in (0, 1 << 20, 5 << 20):
            file.seek(offset)
            file.write(b"s" * 5000)
        file.truncate(6 << 20)
    with (root / "hole").open("wb") as file:
        file.truncate(3 << 20)
    os.utime(root / "block", ns=(1, 1_700_000_000_123_456_789))
    os.utime(root / "empty", ns=(1, -1_500_000_000))
    os.utime(root / "zz-link", ns=(1, 1_000_000_001), follow_symlinks=False)
    return root


def _seen(root: Path) -> dict[bytes, Entry]:
    """Return what the file system itself says of the tree; the second name of `odd` is a hard link."""
    found: dict[bytes, Entry] = {}
    top = os.fsencode(root)
    for directory, directories, files in os.walk(top):
        for name in [b".", *directories, *files] if directory == top else [*directories, *files]:
            path = os.path.normpath(os.path.relpath(os.path.join(directory, name), top))
            status = os.lstat(os.path.join(directory, name))
            kind = {stat.S_IFDIR: "d", stat.S_IFREG: "f", stat.S_IFLNK: "l", stat.S_IFIFO: "p"}[
                stat.S_IFMT(status.st_mode)
            ]
            entry = Entry(
                b"" if path == b"." else path,
                kind,
                stat.S_IMODE(status.st_mode),
                status.st_uid,
                status.st_gid,
                mtime_ns=status.st_mtime_ns,
                xattrs=digest_of(os.fsdecode(os.path.join(directory, name))),
            )
            if kind == "l":
                entry = entry._replace(target=os.readlink(os.path.join(directory, name)))
            if kind == "f" and status.st_nlink > 1 and path == b"zz-hard":
                entry = entry._replace(type="h", target=b"odd")
            elif kind == "f":
                with open(os.path.join(directory, name), "rb") as file:
                    entry = entry._replace(size=status.st_size, sha256=sha256(file.read()).hexdigest())
            found[entry.path] = entry
    return found


def test_a_posix_archive_tells_all_that_the_file_system_does(tree: Path) -> None:
    found = {entry.path: entry for entry in _follow(_create(tree, *_POSIX), 1 << 30)}
    assert found == _seen(tree)


@pytest.mark.parametrize("form", ["posix", "gnu"])
@_chunked
def test_the_length_of_the_chunks_makes_no_difference(tree: Path, form: str, chunk: int) -> None:
    archive = _create(tree, f"--format={form}", "--sparse")
    assert _follow(archive, chunk) == _follow(archive, len(archive))


def test_an_archive_in_the_gnu_form_tells_all_but_fractions_and_the_digests_of_files_with_holes(tree: Path) -> None:
    found = {entry.path: entry for entry in _follow(_create(tree, "--format=gnu", "--sparse"), 1 << 30)}
    expected = {
        path: entry._replace(
            mtime_ns=entry.mtime_ns // 10**9 * 10**9,
            sha256="" if path in (b"sparse", b"hole") else entry.sha256,
        )
        for path, entry in _seen(tree).items()
    }
    assert found == expected


@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_every_form_of_a_sparse_file_has_its_real_name_and_size(tree: Path, version: str) -> None:
    archive = _create(tree, "--format=posix", "--sparse", f"--sparse-version={version}")
    found = {entry.path: entry for entry in _follow(archive, 513)}
    assert (found[b"sparse"].size, found[b"hole"].size) == (6 << 20, 3 << 20)
    assert found.keys() == _seen(tree).keys()


def test_a_gnu_sparse_file_with_a_map_of_many_blocks_is_passed_over(tmp_path: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    with (root / "sparse").open("wb") as file:
        for number in range(120):
            file.seek(number * 16384)
            file.write(b"x" * 4096)
    (root / "tail").write_bytes(b"t")
    for chunk in _CHUNKS[1:]:
        found = _follow(_create(root, "--format=gnu", "--sparse"), chunk)
        assert [(entry.path, entry.size) for entry in found[1:]] == [(b"sparse", 119 * 16384 + 4096), (b"tail", 1)]


def test_a_sparse_file_has_the_digest_of_what_a_reader_gets(tmp_path: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    with (root / "sparse").open("wb") as file:
        for number in range(120):
            file.seek(number * 16384)
            file.write(bytes([number]) * (4096 + number % 3))
    archive = _create(root, *_POSIX)
    expected = sha256((root / "sparse").read_bytes()).hexdigest()
    assert {_follow(archive, chunk)[1].sha256 for chunk in _CHUNKS[1:]} == {expected}


_TIMES = [0, 1, 10**9, 1_700_000_000 * 10**9, 1_700_000_000_120_000_000, 1_700_000_000_000_000_001, -1, 1 << 62]


@pytest.mark.parametrize("form", ["posix", "gnu", "ustar", "v7"])
@pytest.mark.parametrize("owner", [0, 0o7777777, 0o7777777 + 1, 4_000_000_000])
def test_times_and_owners_of_every_length_are_exact(tmp_path: Path, form: str, owner: int) -> None:
    root = tmp_path / "times"
    root.mkdir()
    for number, moment in enumerate(_TIMES):
        (root / f"{number}").write_bytes(b"x" * 256 * number)
        os.utime(root / f"{number}", ns=(1, moment))
    if form in ("ustar", "v7"):
        for number in (6, 7):
            os.utime(root / f"{number}", ns=(1, 1))
        owner = min(owner, 0o7777777)
    archive = _create(
        root, f"--format={form}", f"--owner=one:{owner}", f"--group=one:{owner}", *_POSIX[1:2] * (form == "posix")
    )
    expected = [(entry.uid, entry.gid, entry.size, entry.mtime_ns) for entry in _follow(archive, 1 << 30)][1:]
    times = [os.stat(root / f"{number}").st_mtime_ns for number in range(len(_TIMES))]
    exact = times if form == "posix" else [moment // 10**9 * 10**9 for moment in times]
    assert expected == [(owner, owner, 256 * number, moment) for number, moment in enumerate(exact)]
    for chunk in _CHUNKS:
        assert [(entry.uid, entry.gid, entry.size, entry.mtime_ns) for entry in _follow(archive, chunk)][1:] == expected


def test_names_in_the_ustar_form_are_put_together_from_two_fields(tmp_path: Path) -> None:
    root = tmp_path / "ustar"
    (root / _DEEP).mkdir(parents=True)
    (root / _DEEP / "file").write_bytes(b"x")
    assert [entry.path.decode() for entry in _follow(_create(root, "--format=ustar"), 513)][-1] == f"{_DEEP}/file"


def test_a_directory_in_the_oldest_form_is_one(tmp_path: Path) -> None:
    (tmp_path / "v7" / "sub").mkdir(parents=True)
    assert [entry.type for entry in _follow(_create(tmp_path / "v7", "--format=v7"), 513)] == ["d", "d"]


def _set_attribute(path: Path, name: str, value: bytes) -> None:
    # Where the file system has none, the test goes on without: the digests are then all empty.
    with suppress(OSError):
        os.setxattr(path, name, value, follow_symlinks=False)


def _acl(*entries: tuple[int, int, int]) -> bytes:
    """Return an ACL in the kernel's form: each entry a tag, permissions, and a user or group."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


_NOBODY = (1 << 32) - 1
_NAMED = _acl((1, 6, _NOBODY), (2, 4, 54321), (4, 4, _NOBODY), (8, 7, 54322), (16, 7, _NOBODY), (32, 0, _NOBODY))
_PLAIN = _acl((1, 7, _NOBODY), (4, 5, _NOBODY), (32, 0, _NOBODY))


def test_attributes_and_acls_have_the_digest_that_they_have_on_the_disk(tmp_path: Path) -> None:
    root = tmp_path / "attributes"
    (root / "sub").mkdir(parents=True)
    for name in ("acl", "file", "two", "without"):
        (root / name).write_bytes(b"x")
    _set_attribute(root / "acl", "system.posix_acl_access", _NAMED)
    _set_attribute(root / "file", "user.note", b"a\0b\nc=d")
    _set_attribute(root / "sub", "system.posix_acl_default", _PLAIN)
    _set_attribute(root / "sub", "user.note", b"directory")
    _set_attribute(root / "two", "user.a", b"x" * 1000)
    _set_attribute(root / "two", "user.b", b"")
    for chunk in _CHUNKS:
        found = {os.fsdecode(entry.path): entry.xattrs for entry in _follow(_create(root, *_POSIX), chunk)}
        assert found == {name: digest_of(str(root / name)) for name in ("", "acl", "file", "sub", "two", "without")}


def test_an_empty_tree_is_its_root_alone(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert [(entry.path, entry.type) for entry in _follow(_create(tmp_path / "none", *_POSIX), 513)] == [(b"", "d")]


def test_every_member_is_judged_by_the_name_in_the_archive_before_its_content_passes(tmp_path: Path) -> None:
    root = tmp_path / "judged"
    root.mkdir()
    (root / "large").write_bytes(b"x" * 5000)
    calls: list[tuple[str, bytes]] = []
    follower = Follower(
        lambda entry: calls.append(("done", entry.path)), judge=lambda entry: calls.append(("judged", entry.path))
    )
    archive = _create(root)
    follower.feed(archive[:1536])
    assert calls == [("judged", b"./"), ("done", b""), ("judged", b"./large")]
    follower.feed(archive[1536:])
    assert calls[3:] == [("done", b"large")]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b".", b""),
        (b"./", b""),
        (b"./a", b"a"),
        (b"./a/", b"a"),
        (b"a/b//", b"a/b"),
        (b"././a", b"a"),
        (b".//a", b"a"),
        (b".a", b".a"),
        (b"./.a", b".a"),
        (b"..", b".."),
        (b"./../a", b"../a"),
        (b"/a", b"/a"),
    ],
)
def test_a_members_path_is_relative_to_the_root(name: bytes, path: bytes) -> None:
    assert member_path(name) == path
