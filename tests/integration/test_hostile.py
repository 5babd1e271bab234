# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that fight back: nothing outside of one is read into an archive, and nothing outside is written."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_hot_backup import Meddler
from test_roundtrip import assert_equal

from ansible_collections.steward.docker.plugins.module_utils._backup.entry import decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Keeper, Slate

# Exchanges pairs of names as fast as the kernel can, as a writer that is not held would.
_SWAPPER = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
pairs = [(os.fsencode(one), os.fsencode(other)) for one, other in zip(sys.argv[1::2], sys.argv[2::2])]
print("ready", flush=True)
while True:
    for one, other in pairs:
        libc.renameat2(-100, one, -100, other, 2)
"""
_FILES = 150


@contextmanager
def _swapping(pairs: list[tuple[Path, Path]]) -> Iterator[None]:
    words = [str(path) for pair in pairs for path in pair]
    with subprocess.Popen([sys.executable, "-c", _SWAPPER, *words], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            yield
            assert process.poll() is None
        finally:
            process.kill()


def _fill(directory: Path, word: str) -> set[str]:
    """Make files of the same names everywhere, each with content of its own; return the digests."""
    directory.mkdir(exist_ok=True)
    (directory / "below").mkdir()
    digests = set()
    for number in range(_FILES):
        for place in (directory, directory / "below"):
            content = f"{word} {place} {number}".encode()
            (place / f"file{number}").write_bytes(content)
            digests.add(sha256(content).hexdigest())
    (directory / f"only {word}").write_text(word)
    digests.add(sha256(word.encode()).hexdigest())
    return digests


def _snapshot(directory: Path) -> dict[str, Any]:
    """Return all that a write would change."""
    found: dict[str, Any] = {}
    for place in (directory, *directory.rglob("*")):
        status = place.lstat()
        content = place.read_bytes() if place.is_file() else b""
        found[str(place)] = (
            status.st_mode,
            status.st_uid,
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_ino,
            content,
        )
    return found


def _members(archive: str) -> dict[bytes, str]:
    """Return every member's name and the digest of its content, as Python's tarfile reads them."""
    found: dict[bytes, str] = {}
    with (
        subprocess.Popen(["zstd", "-dc", archive], stdout=subprocess.PIPE) as plain,
        tarfile.open(fileobj=plain.stdout, mode="r|") as tar,
    ):
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            found[member.name.encode("utf-8", "surrogateescape")] = sha256(file.read()).hexdigest() if file else ""
    return found


def _index(row: dict[str, Any]) -> list[Any]:
    path = row["path"].replace(".tar.zst", ".index.zst")
    lines = subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout.splitlines(keepends=True)
    return [decode(line) for line in lines[1:]]


class Arena:
    """A volume in which directories and links to places outside change places all the time."""

    def __init__(self, slate: Slate, scratch: Path) -> None:
        """Make the volume, and what its links point at."""
        slate.volume("data")
        slate.volume("other")
        self.root = slate.path("data")
        self.outside = [scratch / "outside", slate.path("other")]
        self.secret = {sha256(Path("/etc/passwd").read_bytes()).hexdigest()}
        for place in self.outside:
            self.secret |= _fill(place, "outside")
        up = "../" * len(self.root.parts) + str(self.outside[0]).lstrip("/")
        self.pairs = []
        for number, target in enumerate(["/etc", *map(str, self.outside), up]):
            name = self.root / f"name{number}"
            _fill(name, "inside")
            (name / "passwd").write_text("inside")
            link = self.root / f"twin{number}"
            link.symlink_to(target)
            assert link.is_dir()
            self.pairs.append((name, link))
        self.before = [_snapshot(place) for place in self.outside]

    def assert_nothing_read(self, row: dict[str, Any]) -> None:
        """Assert that neither archive nor index has anything from outside."""
        members = _members(row["path"])
        assert len(members) > _FILES
        assert not self.secret & set(members.values())
        assert not [name for name in members if b"only outside" in name or b"shadow" in name]
        entries = _index(row)
        assert not self.secret & {entry.sha256 for entry in entries}
        assert len(entries) == row["files"] + len([entry for entry in entries if entry.type == "d"])

    def assert_nothing_written(self) -> None:
        """Assert that the places outside are as they were."""
        assert [_snapshot(place) for place in self.outside] == self.before
        assert not [name for name in os.listdir("/etc") if name.startswith(("file", "only ", "below"))]


@pytest.fixture
def arena(slate: Slate, tmp_path: Path) -> Arena:
    """Return a volume that fights back."""
    return Arena(slate, tmp_path)


def _fight(arena: Arena, keeper: Keeper, slate: Slate, rounds: int) -> list[dict[str, Any]]:
    """Back up and restore while names change places; return the rows of the backups."""
    mover = "while :; do mv /data/name0 /data/away; mv /data/twin0 /data/name0; mv /data/away /data/twin0; done"
    container = slate.service(["sh", "-c", f"trap 'exit 0' TERM; {mover}"], name="mover", volumes=["data:/data"])
    rows = []
    with _swapping(arena.pairs[1:]):
        for _round in range(rounds):
            for how in (
                {"quiesce": "none"},
                {"quiesce": "pause"},
                {"quiesce": "none", "exclude_paths": ["file1*", "name2/below"]},
            ):
                found = keeper.modules("volume_backup", {**keeper.common, "volumes": ["data"], "force": True, **how})
                assert not found.get("failed"), found
                rows.append(found["backups"][0])
                arena.assert_nothing_read(rows[-1])
            # Without the saved walk, the question whether something has changed reads every file.
            for walk in (keeper.modules.state / "walks").iterdir():
                walk.unlink()
            keeper.backup("data", quiesce="none", check=True, diff=True, exclude_paths=["file1*", "name2/below"])
            keeper.restore("data")
            arena.assert_nothing_written()
            slate.wait_for(container, "running")
    return rows


def test_names_that_become_links_lead_nowhere(arena: Arena, keeper: Keeper, slate: Slate) -> None:
    rows = _fight(arena, keeper, slate, 1)
    # It was a fight: names did change under tar's hands.
    assert any(row["changed_files"] + row["vanished_files"] for row in rows)
    info = keeper.modules.ok("backup_info", {**keeper.common, "verify": "full"})
    assert info["damaged"] == [] and len(info["backups"]) == len(rows)


@pytest.mark.soak
def test_names_that_become_links_lead_nowhere_for_long(arena: Arena, keeper: Keeper, slate: Slate) -> None:
    assert any(row["changed_files"] for row in _fight(arena, keeper, slate, 25))


def _fight_for_the_root(keeper: Keeper, slate: Slate, scratch: Path, rounds: int) -> None:
    """Back up a mounted directory whose parent somebody else can write to, while it becomes a link and back."""
    secret = _fill(scratch / "outside", "outside")
    before = _snapshot(scratch / "outside")
    shared = scratch / "shared"
    shared.mkdir()
    inside = _fill(shared / "data", "inside")
    (shared / "twin").symlink_to(scratch / "outside")
    slate.service(name="app", volumes=[f"{shared / 'data'}:/data"])
    asked = {**keeper.common, "containers": ["app"], "bind_mounts": True, "quiesce": "none", "force": True}
    with _swapping([(shared / "data", shared / "twin")]):
        for _round in range(rounds):
            found = keeper.modules("volume_backup", asked)
            assert "Traceback" not in str(found)
            assert not found.get("failed") or str(shared / "data") in found["msg"], found
    if (shared / "data").is_symlink():
        (shared / "data").unlink()
        (shared / "twin").rename(shared / "data")
    row = keeper.modules.ok("volume_backup", asked)["backups"][0]
    assert set(_members(row["path"]).values()) == {*inside, ""}
    for archive in Path(keeper.common["store"]).rglob("*.tar.zst"):
        members = _members(str(archive))
        assert not secret & set(members.values()) and b"./only outside" not in members
    assert _snapshot(scratch / "outside") == before


def test_a_root_that_becomes_a_link_is_never_followed(keeper: Keeper, slate: Slate, tmp_path: Path) -> None:
    _fight_for_the_root(keeper, slate, tmp_path, 4)


@pytest.mark.soak
def test_a_root_that_becomes_a_link_is_never_followed_for_long(keeper: Keeper, slate: Slate, tmp_path: Path) -> None:
    _fight_for_the_root(keeper, slate, tmp_path, 40)


def test_what_would_block_or_never_end_is_not_read(keeper: Keeper, slate: Slate) -> None:
    """A FIFO, a device without an end, a terabyte of holes."""
    slate.volume("data")
    root = slate.path("data")
    os.mkfifo(root / "fifo")
    os.mknod(root / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    with (root / "sparse").open("wb") as file:
        file.truncate(1 << 40)
        file.seek(700 << 30)
        file.write(b"a word in a terabyte")
    row = keeper.backup("data")["backups"][0]
    assert row["consistent"] and row["size"] == 1 << 40 and row["stored"] < 1 << 20
    assert sorted((entry.path, entry.type, entry.rdev) for entry in _index(row) if entry.path) == [
        (b"fifo", "p", 0),
        (b"sparse", "f", 0),
        (b"zero", "c", os.makedev(1, 5)),
    ]
    # Times that tell nothing: now content has to.
    for name in ("fifo", "zero", "sparse"):
        (root / name).chmod((root / name).stat().st_mode)
    for walk in (keeper.modules.state / "walks").iterdir():
        walk.unlink()
    assert keeper.backup("data")["changed"] is False
    keeper.restore("data", to="copy")
    copy = slate.path("copy")
    assert (copy / "sparse").stat().st_size == 1 << 40 and (copy / "sparse").stat().st_blocks < 1000
    with (copy / "sparse").open("rb") as file:
        file.seek((700 << 30) - 2)
        assert file.read(24) == b"\0\0a word in a terabyte\0\0"
    assert (copy / "zero").stat().st_rdev == os.makedev(1, 5)
    assert keeper.restore("data", to="copy")["changed"] is False
    # One letter of it, with its time as it was.
    times = (root / "sparse").stat()
    with (root / "sparse").open("r+b") as file:
        file.seek(900 << 30)
        file.write(b"X")
    os.utime(root / "sparse", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert keeper.backup("data")["backups"][0]["reason"] == "1 changed"


def test_a_file_that_grows_for_ever_is_not_chased(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    root = slate.path("data")
    (root / "grows").write_bytes(b"x" * (8 << 20))
    grow = "trap 'exit 0' TERM; while :; do head -c 4096 /dev/zero >> /data/grows; done"
    slate.service(["sh", "-c", grow], name="app", volumes=["data:/data"])
    row = keeper.backup("data", quiesce="none")["backups"][0]
    assert row["consistent"] is False and "grows" in row["changed_while_read"]
    assert 8 << 20 <= row["size"] <= (root / "grows").stat().st_size
    assert set(_members(row["path"])) == {b".", b"./grows"}
    # Held still, it is consistent, and so it is restored.
    row = keeper.backup("data", quiesce="pause")["backups"][0]
    assert row["consistent"] is True
    keeper.restore("data", to="copy")
    assert (slate.path("copy") / "grows").stat().st_size == row["size"]


@contextmanager
def _mounted(*mounts: tuple[str, ...]) -> Iterator[None]:
    done: list[str] = []
    try:
        for words in mounts:
            subprocess.run(["mount", *words], check=True)
            done.append(words[-1])
        yield
    finally:
        for place in reversed(done):
            subprocess.run(["umount", place], check=True)


def test_what_is_mounted_inside_is_not_read(keeper: Keeper, slate: Slate) -> None:
    """Neither another file system nor a directory or file of the same one."""
    slate.volume("data")
    root = slate.path("data")
    outside = root.parent / "outside"
    secret = _fill(outside, "outside")
    before = _snapshot(outside)
    _fill(root / "inside", "inside")
    for name in ("other", "same"):
        (root / name).mkdir()
    (root / "file").write_text("inside")
    (root / "file").chmod(0o640)
    with _mounted(
        ("-t", "tmpfs", "none", str(root / "other")),
        ("--bind", str(outside), str(root / "same")),
        ("--bind", str(outside / "only outside"), str(root / "file")),
    ):
        (root / "other" / "only outside").write_text("outside")
        row = keeper.backup("data")["backups"][0]
        members = _members(row["path"])
        assert not secret & set(members.values())
        assert not [name for name in members if name.startswith((b"./same/", b"./other/"))]
        text = " ".join(row["warnings"])
        assert all(f"mounted at {name} in" in text for name in ("other", "same", "file"))
        assert row["consistent"] is True
        assert keeper.backup("data")["changed"] is False
        (root / "inside" / "file0").write_text("changed")
        assert "mounted" in keeper.no_restore(volume="data")
    assert _snapshot(outside) == before


def test_what_is_mounted_inside_while_it_is_read_fails_the_backup(
    keeper: Keeper, slate: Slate, tmp_path: Path, store: Path
) -> None:
    slate.volume("data")
    root = slate.path("data")
    _fill(root / "name", "inside")
    _fill(tmp_path / "outside", "outside")
    place = root / "name" / "below"
    meddler = Meddler(keeper, root, tmp_path)
    try:
        with pytest.raises(AssertionError, match="mounted or unmounted inside"):
            meddler.backup(before=f"mount --bind {tmp_path}/outside {place}")
    finally:
        subprocess.run(["umount", place], check=True)
    assert not list(store.rglob("*.tar.zst"))


def _shell(pwned: Path) -> str:
    """Return a command without a slash, which makes a file when a shell gets to see it."""
    for padding in range(8):
        code = base64.b64encode(f"touch {pwned}{' ' * padding}".encode()).decode()
        if "/" not in code:
            return f"echo {code} | base64 -d | sh"
    raise AssertionError("no padding helps")


def test_names_are_never_run_and_never_break_a_result(keeper: Keeper, slate: Slate, tmp_path: Path) -> None:
    pwned = tmp_path / "pwned"
    command = _shell(pwned)
    texts = [
        f"$({command})",
        f"`{command}`",
        f"; {command} ;",
        f"| {command}",
        f"\n{command}\n",
        f"' ; {command} ; '",
        f'" ; {command} ; "',
        f"{{{{ lookup('pipe', '{command}') }}}}",
        "--checkpoint=1",
        f"--checkpoint-action=exec={command}",
        f"--to-command={command}",
        "-rf",
        "--",
        "*",
        "?[a-z]*",
        "~",
        " ",
        "\t",
        "\\",
        "\\n",
        "%s%n",
        "\x1b[31mred",
        "\u202egnp.exe",
        "é\u0301",
    ]
    names = [*(os.fsencode(text) for text in texts), b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"a\xffb\n"]
    labels = {f"label {number}": text for number, text in enumerate(texts)}
    slate.volume("data", labels=labels)
    root = os.fsencode(slate.path("data"))
    for name in names:
        Path(os.fsdecode(root + b"/" + name)).write_bytes(name)
        directory = os.fsdecode(root + b"/dir " + name)
        os.mkdir(directory)
        os.symlink(os.fsdecode(name), f"{directory}/link")
    below = root
    for _level in range(200):
        below += b"/deep"
        os.mkdir(below)
    Path(os.fsdecode(below + b"/end")).write_text("end")
    service = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done", *texts]
    app = slate.service(
        service,
        name="app",
        volumes=["data:/data"],
        labels=labels,
        environment={f"V{n}": text for n, text in enumerate(texts)},
    )
    first = keeper.backup("data", quiesce="stop", diff=True)
    assert first["backups"][0]["files"] == 2 * len(names) + 1
    for name in names:
        Path(os.fsdecode(root + b"/" + name)).write_bytes(b"another")
    check = keeper.backup("data", check=True, diff=True)
    touched = check["diff"][0]["before"] if isinstance(check["diff"], list) else check["diff"]["before"]
    assert touched.count("\n") == len(names), touched
    touched.encode()
    assert check["backups"][0]["reason"] == f"{len(names)} changed"
    second = keeper.backup("data", quiesce="pause", exclude_paths=["--checkpoint*", f"$({command})"])
    assert second["backups"][0]["files"] == 2 * len(names) + 1 - 3
    keeper.backup("data", quiesce="none")
    restored = keeper.restore("data", backup=first["backups"][0]["id"], diff=True)
    assert restored["changed"]
    assert slate.state(app)[0] == "running"
    for name in names:
        assert Path(os.fsdecode(root + b"/" + name)).read_bytes() == name
    info = keeper.modules.ok("backup_info", {**keeper.common, "verify": "full"})
    assert info["damaged"] == [] and len(info["backups"]) == 3
    keeper.restore("data", undo=True)
    keeper.restore("data", to="copy")
    assert_equal(slate.path("data"), slate.path("copy"))
    # Labels come back to the letter with a volume that is gone.
    app.remove(force=True)
    slate.client.volumes.get("data").remove()
    keeper.restore("data", backup=first["backups"][0]["id"])
    made = slate.client.volumes.get("data").attrs["Labels"]
    assert {key: value for key, value in made.items() if key in labels} == labels
    assert not pwned.exists()
