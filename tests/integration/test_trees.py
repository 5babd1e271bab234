# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees as nobody would think of them come back equal, are unchanged then, and no change of them goes unnoticed."""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some
from test_roundtrip import assert_equal

from ansible_collections.steward.docker.plugins.module_utils._names import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Keeper, Slate

# Several trees in one volume: a call of a module takes seconds, a tree does not.
_TREES = 30
_ODD = [
    b"-rf",
    b"*",
    b"a\nb",
    b"\\",
    b"\\n",
    b"$(x)",
    b" ",
    b"\xff",
    b"\xc3",
    b"...",
    b"'",
    b"\x7f",
    b"x" * 255,
    "é".encode(),
]
_NAMES = some.one_of(
    some.sampled_from(_ODD),
    some.binary(min_size=1, max_size=12),
    some.binary(min_size=90, max_size=255),
    some.sampled_from([b"a", b"a.b", b"a-b", b"a b", b"aa", b"b"]),
).filter(lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b".."))
_IDS = some.sampled_from([0, 1, 1000, 65534, 2097151, 2097152, 4294967294])
# What ext4 can hold: from 1901 to 2446.
_TIMES = some.one_of(
    some.integers(-(2**31) * 10**9, (2**33 + 2**32) * 10**9),
    some.sampled_from([0, 1, -1, -(10**9), -(10**9) - 1, 999_999_999, 10**9, 2**33 * 10**9 - 1, 2**33 * 10**9]),
)
_CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
_ATTRIBUTES = some.dictionaries(
    some.one_of(
        some.sampled_from(
            ["user.a", "user.a=b", "user.a%b", "user.%3D", "trusted.t", "user.é", "trusted.a\nb", "user.a b"]
        ),
        some.text("abc=%.", min_size=1, max_size=8).map("user.".__add__),
    ),
    some.binary(max_size=60),
    max_size=3,
)
_PERMISSIONS = some.integers(0, 7)


@some.composite
def _acl(draw: some.DrawFn) -> bytes:
    """Draw an access control list in the kernel's form."""
    users = sorted(draw(some.sets(some.integers(0, 99999), min_size=1, max_size=3)))
    groups = sorted(draw(some.sets(some.integers(0, 99999), max_size=2)))
    nobody = 0xFFFFFFFF
    entries = [(1, draw(_PERMISSIONS), nobody), *((2, draw(_PERMISSIONS), user) for user in users)]
    entries += [(4, draw(_PERMISSIONS), nobody), *((8, draw(_PERMISSIONS), group) for group in groups)]
    entries += [(16, draw(_PERMISSIONS), nobody), (32, draw(_PERMISSIONS), nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


@dataclass
class _Node:
    kind: str
    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    attributes: dict[str, bytes]
    acl: bytes
    default_acl: bytes
    capable: bool
    pieces: list[tuple[int, bytes]] = field(default_factory=list)
    size: int = 0
    target: bytes = b""
    content: dict[bytes, _Node] = field(default_factory=dict)
    # A further name of the file beside it.
    twin: bytes = b""


def _nodes(
    kind: some.SearchStrategy[str], content: some.SearchStrategy[dict[bytes, _Node]]
) -> some.SearchStrategy[_Node]:
    lists = some.one_of(some.just(b""), some.just(b""), _acl())
    return some.builds(
        _Node,
        kind=kind,
        mode=some.integers(0, 0o7777),
        owner=some.tuples(_IDS, _IDS),
        mtime_ns=_TIMES,
        attributes=_ATTRIBUTES,
        acl=lists,
        default_acl=lists,
        capable=some.booleans(),
        pieces=some.lists(some.tuples(some.integers(0, 3_000_000), some.binary(max_size=3000)), max_size=3),
        size=some.one_of(some.just(0), some.integers(0, 20_000_000)),
        target=some.binary(min_size=1, max_size=300).map(lambda data: data.replace(b"\0", b"0")),
        content=content,
        twin=some.one_of(some.just(b""), some.just(b""), _NAMES),
    )


_LEAVES = _nodes(some.sampled_from(["file", "file", "file", "link", "fifo", "character", "block"]), some.just({}))
_TREE = some.recursive(
    some.dictionaries(_NAMES, _LEAVES, min_size=1, max_size=4),
    lambda below: some.dictionaries(_NAMES, some.one_of(_LEAVES, _nodes(some.just("directory"), below)), max_size=4),
    max_leaves=10,
)
_FOREST = some.lists(_TREE, min_size=_TREES, max_size=_TREES)


def _make(path: bytes, node: _Node) -> None:
    """Make one entry with all that it has."""
    if node.kind == "directory":
        os.mkdir(path)
        _grow(path, node.content)
    elif node.kind == "file":
        with open(path, "wb") as file:
            for offset, data in node.pieces:
                file.seek(offset)
                file.write(data)
            if node.size > file.seek(0, os.SEEK_END):
                file.truncate(node.size)
    elif node.kind == "link":
        os.symlink(node.target, path)
    else:
        kinds = {"fifo": stat.S_IFIFO, "character": stat.S_IFCHR, "block": stat.S_IFBLK}
        os.mknod(path, 0o600 | kinds[node.kind], os.makedev(node.mode % 4000, node.mtime_ns % 9999))
    os.chown(path, *node.owner, follow_symlinks=False)
    if node.kind != "link":
        os.chmod(path, node.mode)
        for name, value in node.attributes.items():
            if name.startswith("trusted.") or node.kind in ("directory", "file"):
                os.setxattr(path, name, value)
        if node.acl:
            os.setxattr(path, "system.posix_acl_access", node.acl)
    if node.kind == "directory" and node.default_acl:
        os.setxattr(path, "system.posix_acl_default", node.default_acl)
    if node.kind == "file" and node.capable:
        os.setxattr(path, "security.capability", _CAPABILITY)
    os.utime(path, ns=(0, node.mtime_ns), follow_symlinks=False)


def _grow(path: bytes, content: dict[bytes, _Node]) -> None:
    for name, node in content.items():
        _make(path + b"/" + name, node)
    for name, node in content.items():
        if node.twin and node.twin not in content and node.kind != "directory":
            twin = path + b"/" + node.twin
            if not os.path.lexists(twin):
                os.link(path + b"/" + name, twin, follow_symlinks=False)


def _times(root: Path) -> dict[bytes, tuple[int, int]]:
    base = os.fsencode(root)
    found = {}
    for above, directories, files in os.walk(base):
        for name in (*directories, *files, b"."):
            status = os.lstat(above + b"/" + name)
            found[(above + b"/" + name)[len(base) :]] = (status.st_mtime_ns, status.st_rdev)
    return found


def _content_behind_its_time(path: bytes) -> bool:
    """Change a byte of a file and leave its size and time."""
    before = os.lstat(path)
    if not stat.S_ISREG(before.st_mode) or not before.st_size:
        return False
    with open(path, "r+b") as file:
        file.seek(before.st_size // 2)
        byte = file.read(1)
        file.seek(before.st_size // 2)
        file.write(bytes([byte[0] ^ 1]))
    # Writing takes capabilities and the bits of another owner away: give them back, so that content alone differs.
    os.chmod(path, stat.S_IMODE(before.st_mode))
    os.utime(path, ns=(0, before.st_mtime_ns))
    return True


def _owner(path: bytes) -> bool:
    status = os.lstat(path)
    os.chown(path, (status.st_uid + 1) % 60000, status.st_gid, follow_symlinks=False)
    return True


def _mode(path: bytes) -> bool:
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        return False
    os.chmod(path, stat.S_IMODE(status.st_mode) ^ 0o200)
    return True


def _attribute(path: bytes) -> bool:
    if stat.S_ISLNK(os.lstat(path).st_mode):
        return False
    os.setxattr(path, "trusted.new", b"new")
    return True


def _list(path: bytes) -> bool:
    """Give an ACL that leaves the mode as it is."""
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode) or b"system.posix_acl_access" in map(os.fsencode, os.listxattr(path)):
        return False
    user, group, other = (status.st_mode >> 6) & 7, (status.st_mode >> 3) & 7, status.st_mode & 7
    entries = [
        (1, user, 0xFFFFFFFF),
        (2, 7, 77),
        (4, group, 0xFFFFFFFF),
        (16, group, 0xFFFFFFFF),
        (32, other, 0xFFFFFFFF),
    ]
    packed = b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + packed)
    return True


def _time(path: bytes) -> bool:
    status = os.lstat(path)
    if stat.S_ISDIR(status.st_mode):
        return False
    os.utime(
        path,
        ns=(0, status.st_mtime_ns + 1 if status.st_mtime_ns < 0 else status.st_mtime_ns - 1),
        follow_symlinks=False,
    )
    return True


def _another_kind(path: bytes) -> bool:
    status = os.lstat(path)
    if stat.S_ISDIR(status.st_mode):
        return False
    os.unlink(path)
    os.mkdir(path)
    return True


def _gone(path: bytes) -> bool:
    if stat.S_ISDIR(os.lstat(path).st_mode):
        return False
    os.unlink(path)
    return True


_CHANGES: list[Callable[[bytes], bool]] = [
    _content_behind_its_time,
    _owner,
    _mode,
    _attribute,
    _list,
    _time,
    _another_kind,
    _gone,
]


def _change_one(root: bytes, number: int) -> list[bytes]:
    """Change one entry below a tree's root; return all its names, or nothing when it has none that can be changed so."""
    paths = [
        path + b"/" + name for path, directories, files in os.walk(root) for name in sorted([*directories, *files])
    ]
    change = _CHANGES[number % len(_CHANGES)]
    for offset in range(len(paths)):
        path = paths[(number + offset) % len(paths)]
        inode = os.lstat(path).st_ino
        names = [other for other in paths if os.lstat(other).st_ino == inode]
        if change(path):
            return names
    return []


def _named(found: dict[str, Any]) -> list[str]:
    difference = found["diff"][0] if isinstance(found["diff"], list) else found["diff"]
    lines = difference["before"].splitlines() + difference["after"].splitlines()
    return [line[2:] for line in lines if line[:2] in ("- ", "~ ", "+ ")]


def _survives(forest: list[dict[bytes, _Node]], numbers: list[int], keeper: Keeper, slate: Slate) -> None:
    name = slate.volume().name
    root = slate.path(name)
    for number, tree in enumerate(forest):
        place = os.fsencode(root / f"tree{number:02}")
        os.mkdir(place)
        _grow(place, tree)
    row = keeper.backup(name)["backups"][0]
    assert row["consistent"], row
    keeper.restore(name, to=f"{name}-copy")
    copy = slate.path(f"{name}-copy")
    assert_equal(root, copy)
    assert_equal(copy, root)
    assert _times(root) == _times(copy)
    assert keeper.backup(name)["changed"] is False
    assert keeper.restore(name, to=f"{name}-copy")["changed"] is False
    changed = {}
    for number, draw in enumerate(numbers):
        names = _change_one(os.fsencode(root / f"tree{number:02}"), draw + number)
        if names:
            changed[f"tree{number:02}"] = [printable(path[len(os.fsencode(root)) + 1 :]) for path in names]
    assert changed
    named = _named(keeper.backup(name, check=True, diff=True))
    for tree, names in changed.items():
        assert set(names) & set(named), (tree, names)
    assert {line.split("/")[0] for line in named} == set(changed)


_TOGETHER = some.tuples(_FOREST, some.lists(some.integers(0, 10**6), min_size=_TREES, max_size=_TREES))
_HOW: dict[str, Any] = {
    "database": None,
    "deadline": None,
    # A smaller example costs as much time as the first.
    "phases": (Phase.explicit, Phase.generate),
    "suppress_health_check": list(HealthCheck),
}


@settings(max_examples=3, derandomize=True, **_HOW)
@given(_TOGETHER)
def test_trees_survive_the_round_trip(keeper: Keeper, slate: Slate, drawn: tuple[Any, list[int]]) -> None:
    _survives(*drawn, keeper, slate)


@pytest.mark.soak
@settings(max_examples=60, print_blob=True, **_HOW)
@given(_TOGETHER)
def test_many_trees_survive_the_round_trip(keeper: Keeper, slate: Slate, drawn: tuple[Any, list[int]]) -> None:
    _survives(*drawn, keeper, slate)
