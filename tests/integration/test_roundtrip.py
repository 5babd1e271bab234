# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into a backup comes back equal, as tools that are not ours see it."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Keeper, Slate


def difficult_tree(root: Path) -> None:
    """Fill a directory with everything that a file system can hold."""
    plain = root / "plain"
    plain.write_bytes(os.urandom(100_000))
    os.link(plain, root / "hard link")
    (root / "absolute").symlink_to("/etc/passwd")
    (root / "dangling").symlink_to("nowhere/at/all")
    (root / "directory").mkdir(mode=0o750)
    (root / "to directory").symlink_to("directory")
    os.mkfifo(root / "fifo", 0o640)
    os.mknod(root / "device", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    with (root / "sparse").open("wb") as file:
        file.seek(1 << 30)
        file.write(b"end")
        file.seek(500 << 20)
        file.write(b"middle")
    subprocess.run(["setfattr", "-n", "user.note", "-v", "a note", plain], check=True)
    subprocess.run(["setfacl", "-m", "u:1234:r,g:2345:rw,u:daemon:rw,g:adm:r", plain], check=True)
    subprocess.run(["setfacl", "-d", "-m", "u:1234:rwx,g:adm:rx", root / "directory"], check=True)
    (root / "plain default").mkdir()
    subprocess.run(["setfacl", "-d", "-m", "u::rwx,g::r,o::-", root / "plain default"], check=True)
    capable = root / "capable"
    shutil.copy("/bin/true", capable)
    subprocess.run(["setcap", "cap_net_bind_service+ep", capable], check=True)
    (root / "setuid").write_text("x")
    (root / "setuid").chmod(0o4755)
    os.utime(plain, ns=(1, 1_234_567_890_123_456_789))
    os.chown(root / "dangling", 4_000_000_000, 4_000_000_000, follow_symlinks=False)
    (root / "far").write_text("far")
    os.chown(root / "far", 4_000_000_000, 4_000_000_000)
    (root / ("n" * 255)).write_text("long")
    (root / os.fsdecode(b"not utf-8 \xff\xfe")).write_text("stray")
    (root / "new\nline 'and' \"quotes\" $(x) \\").write_text("odd")
    (root / "-rf").write_text("dash")
    # A path of 3,600 bytes, made from the directory above each time.
    here = os.open(root, os.O_RDONLY)
    for _level in range(18):
        os.mkdir("d" * 199, dir_fd=here)
        below = os.open("d" * 199, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("end", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    (root / "empty").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket"))
    os.chown(root, 999, 998)
    root.chmod(0o2751)


def _allocated(root: Path) -> dict[str, int]:
    found = subprocess.run(
        ["find", root, "-type", "f", "-printf", "%P\\0%b\\0"], check=True, capture_output=True
    ).stdout.split(b"\0")
    return {os.fsdecode(name): int(blocks) for name, blocks in zip(found[::2], found[1::2], strict=False)}


def assert_equal(one: Path, other: Path, *, only_there: str = "") -> None:
    """Assert that rsync finds no difference; `only_there` is what only the first one has."""
    done = subprocess.run(
        [
            "rsync",
            "-aHAXS",
            "--numeric-ids",
            "--delete",
            "--dry-run",
            "--itemize-changes",
            "--checksum",
            f"{one}/",
            f"{other}/",
        ],
        check=True,
        capture_output=True,
    )
    lines = [line for line in done.stdout.decode(errors="surrogateescape").splitlines() if line.strip()]
    assert [line.split()[-1] for line in lines] == ([only_there] if only_there else []), lines
    before, after = _allocated(one), _allocated(other)
    # A file with holes takes no more than it did; the last blocks of a file may be laid out otherwise.
    assert all(after[name] <= blocks + 16 for name, blocks in before.items())


def test_a_difficult_tree_comes_back_equal(keeper: Keeper, slate: Slate) -> None:
    slate.volume("one")
    root = slate.path("one")
    difficult_tree(root)
    made = keeper.backup("one")["backups"][0]
    assert made["warnings"] == []
    restored = keeper.restore("one", to="copy")
    assert restored["restored"]["files"] == made["files"]
    assert_equal(root, slate.path("copy"), only_there="socket")
    ours, theirs = root.stat(), slate.path("copy").stat()
    assert (ours.st_mode, ours.st_uid, ours.st_gid) == (theirs.st_mode, theirs.st_uid, theirs.st_gid)
    capability = subprocess.run(["getcap", slate.path("copy") / "capable"], check=True, capture_output=True, text=True)
    assert "cap_net_bind_service" in capability.stdout
    assert (slate.path("copy") / "plain").stat().st_mtime_ns == 1_234_567_890_123_456_789
    assert (slate.path("copy") / "sparse").stat().st_blocks < 1000
    assert keeper.restore("one", to="copy")["changed"] is False
    assert keeper.backup("one")["changed"] is False


def test_the_two_lines_of_the_documentation_restore_an_archive(keeper: Keeper, slate: Slate, tmp_path: Path) -> None:
    slate.volume("one")
    root = slate.path("one")
    difficult_tree(root)
    archive = keeper.backup("one")["backups"][0]["path"]
    target = tmp_path / "by hand"
    target.mkdir()
    text = (Path(__file__).parents[2] / "docs/format.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith(("zstd -dc", "  | tar"))]
    assert len(lines) == 2
    command = "\n".join(lines).replace("ARCHIVE", "$ARCHIVE").replace("DIRECTORY", '"$DIRECTORY"')
    subprocess.run(["sh", "-c", command], check=True, env={**os.environ, "ARCHIVE": archive, "DIRECTORY": str(target)})
    assert_equal(root, target, only_there="socket")


def test_a_path_that_could_not_be_extracted_is_refused_by_name(keeper: Keeper, slate: Slate) -> None:
    slate.volume("one")
    here = os.open(slate.path("one"), os.O_RDONLY)
    for _level in range(21):
        os.mkdir("e" * 200, dir_fd=here)
        below = os.open("e" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    message = keeper.no_backup(volumes=["one"])
    assert "longer than the 4096 bytes" in message and "eeeeeeee" in message
    shutil.rmtree(slate.path("one"))
