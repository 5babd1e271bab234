# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore brings the data back, or leaves everything as it was."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Keeper, Slate


def _tree(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


def _write(root: Path, **files: str) -> None:
    for name, content in files.items():
        (root / name).write_text(content)


def _inside(slate: Slate, container: str, path: str) -> str:
    status, output = slate.client.containers.get(container).exec_run(["cat", path])
    assert status == 0, output
    return output.decode()


def _beside(slate: Slate, volume: str) -> list[str]:
    return sorted(path.name for path in slate.path(volume).parent.iterdir() if path.name != "_data")


def test_all_who_use_the_data_see_the_restored_one(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    root = slate.path("data")
    _write(root, page="old")
    keeper.backup("data")
    slate.service(name="writer", volumes={"data": {"bind": "/data"}})
    slate.service(name="reader", volumes={"data": {"bind": "/data", "mode": "ro"}})
    slate.service(name="by-path", volumes={str(root): {"bind": "/data"}})
    stranger = slate.service(name="stranger")
    before = slate.state(stranger)
    _write(root, page="new", more="more")
    result = keeper.restore("data")
    assert result["changed"] and _tree(root) == {"page": "old"}
    for name in ("writer", "reader", "by-path"):
        assert _inside(slate, name, "/data/page") == "old"
    assert sorted(row["container"] for row in result["quiesced"]) == ["by-path", "reader", "writer"]
    assert slate.state(stranger) == before


def test_data_that_equals_the_backup_is_left_alone(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    _write(slate.path("data"), page="same")
    container = slate.service(volumes={"data": {"bind": "/data"}})
    keeper.backup("data")
    before = slate.state(container)
    result = keeper.restore("data")
    assert result["changed"] is False and result["plan"] == []
    assert slate.state(container) == before
    # Restore and backup know each other's result.
    _write(slate.path("data"), page="other")
    keeper.restore("data")
    assert keeper.backup("data")["changed"] is False


def test_a_container_that_starts_in_mid_restore_sees_the_restored_data(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    root = slate.path("data")
    for number in range(3000):
        (root / f"file{number}").write_text("old")
    keeper.backup("data")
    _write(root, file0="new")
    late = slate.client.containers.create(
        "steward-lab/busybox:1", name="late", volumes={"data": {"bind": "/data"}}, labels={"steward.test": "1"}
    )

    def start_when_staged() -> None:
        for _turn in range(2000):
            if _beside(slate, "data"):
                late.start()
                return
            time.sleep(0.005)

    starting = threading.Thread(target=start_when_staged)
    starting.start()
    result = keeper.restore("data")
    starting.join()
    assert result["changed"]
    late.reload()
    assert late.status == "running"
    assert _inside(slate, "late", "/data/file0") == "old"


def test_a_bind_option_volume_restored_elsewhere_leaves_the_original(
    keeper: Keeper, slate: Slate, tmp_path: Path
) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    _write(origin, page="old")
    slate.volume("bound", driver_opts={"type": "none", "o": "bind", "device": str(origin)})
    slate.service(volumes={"bound": {"bind": "/data"}})
    keeper.backup("bound")
    _write(origin, page="new")
    keeper.restore("bound", to="copy")
    assert _tree(origin) == {"page": "new"} and _tree(slate.path("copy")) == {"page": "old"}
    options = slate.client.volumes.get("copy").attrs["Options"]
    assert not options, "the copy is the source under another name"
    message = keeper.no_restore(volume="bound", to=str(origin))
    assert "same directory" in message


def test_a_bind_option_volume_is_restored_in_its_directory(keeper: Keeper, slate: Slate, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    _write(origin, page="old")
    slate.volume("bound", driver_opts={"type": "none", "o": "bind", "device": str(origin)})
    container = slate.service(name="user", volumes={"bound": {"bind": "/data"}})
    keeper.backup("bound")
    _write(origin, page="new")
    assert keeper.restore("bound")["changed"]
    assert _tree(origin) == {"page": "old"} and _inside(slate, "user", "/data/page") == "old"
    assert slate.state(container)[0] == "running"


def test_a_missing_volume_is_made_again_as_it_was(keeper: Keeper, slate: Slate) -> None:
    volume = slate.volume("data", labels={"tier": "gold"})
    _write(slate.path("data"), page="old")
    keeper.backup("data")
    volume.remove()
    assert keeper.restore("data", check=True)["changed"]
    assert [found.name for found in slate.client.volumes.list()] == [], "check mode made it"
    assert keeper.restore("data")["changed"]
    again = slate.client.volumes.get("data")
    assert again.attrs["Labels"] == volume.attrs["Labels"] and _tree(slate.path("data")) == {"page": "old"}
    assert _beside(slate, "data") == []


def test_undo_takes_back_the_last_restore_once(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    root = slate.path("data")
    _write(root, page="old")
    keeper.backup("data")
    container = slate.service(name="user", volumes={"data": {"bind": "/data"}})
    _write(root, page="new")
    restored = keeper.restore("data")["restored"]
    assert restored["previous"] and _tree(root) == {"page": "old"}
    assert keeper.restore("data", undo=True, check=True)["changed"] and _tree(root) == {"page": "old"}
    assert keeper.restore("data", undo=True)["changed"]
    assert _tree(root) == {"page": "new"} and _inside(slate, "user", "/data/page") == "new"
    assert keeper.restore("data", undo=True)["changed"] is False
    assert _tree(root) == {"page": "new"} and _beside(slate, "data") == []
    assert slate.state(container)[0] == "running"


def test_previous_trees_do_not_pile_up_and_grow_old(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    root = slate.path("data")
    _write(root, page="old")
    keeper.backup("data")
    for content in ("one", "two"):
        _write(root, page=content)
        keeper.restore("data")
    assert len(_beside(slate, "data")) == 1
    time.sleep(2)
    keeper.restore("data", previous_max_age="1s")
    assert _beside(slate, "data") == []
    _write(root, page="three")
    keeper.restore("data", keep_previous=False)
    assert _beside(slate, "data") == []


def test_at_takes_the_newest_backup_from_then_or_before(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    root = slate.path("data")
    moments = []
    for content in ("one", "two", "three"):
        _write(root, page=content)
        keeper.backup("data")
        moments.append(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        time.sleep(1.1)
    keeper.restore("data", at=moments[1])
    assert _tree(root) == {"page": "two"}
    keeper.restore("data")
    assert _tree(root) == {"page": "three"}
    assert "from 2001-01-01 or before" in keeper.no_restore(volume="data", at="2001-01-01")


def test_only_if_seeds_and_never_takes_back(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    root = slate.path("data")
    _write(root, page="seed")
    keeper.backup("data")
    _write(root, page="written since")
    for only_if in ("empty", "missing"):
        assert keeper.restore("data", only_if=only_if)["changed"] is False
    assert _tree(root) == {"page": "written since"}
    (root / "page").unlink()
    assert keeper.restore("data", only_if="missing")["changed"] is False
    assert keeper.restore("data", only_if="empty")["changed"]
    assert _tree(root) == {"page": "seed"}
    slate.client.volumes.get("data").remove()
    assert keeper.restore("data", only_if="missing")["changed"]
    assert _tree(root) == {"page": "seed"}


def test_a_directory_is_restored_by_its_path(keeper: Keeper, slate: Slate, tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    _write(served, page="old")
    slate.service(name="web", volumes={str(served): {"bind": "/srv"}})
    result = keeper.modules.ok("volume_backup", {**keeper.common, "containers": ["web"], "bind_mounts": True})
    assert [row["path_backed_up"] for row in result["backups"]] == [str(served)]
    _write(served, page="new")
    common = {**keeper.common, "path": str(served)}
    assert keeper.modules.ok("volume_restore", common)["changed"]
    assert _tree(served) == {"page": "old"} and _inside(slate, "web", "/srv/page") == "old"
    assert keeper.modules.ok("volume_restore", common)["changed"] is False


def _foreign(tmp_path: Path, flags: str) -> Path:
    origin = tmp_path / "project-1.0" / "data"
    origin.mkdir(parents=True, exist_ok=True)
    _write(origin, page="foreign")
    archive = tmp_path / f"foreign{flags}"
    option = {".tar": [], ".tar.gz": ["--gzip"], ".tar.zst": ["--zstd"]}[flags]
    subprocess.run(["tar", "-c", *option, "-f", archive, "-C", tmp_path, "project-1.0"], check=True)
    return archive


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.zst"])
def test_an_archive_made_elsewhere_is_restored(suffix: str, keeper: Keeper, slate: Slate, tmp_path: Path) -> None:
    archive = _foreign(tmp_path, suffix)
    slate.volume("data")
    _write(slate.path("data"), own="own")
    slate.path("data").chmod(0o2770)
    how = {"backup": str(archive), "strip_components": 1, "subdir": "data"}
    assert keeper.restore("data", **how, check=True)["changed"]
    assert keeper.restore("data", **how)["changed"]
    assert _tree(slate.path("data")) == {"page": "foreign"}
    assert keeper.restore("data", **how)["changed"] is False


def test_an_archive_without_a_root_leaves_the_owner_and_mode(keeper: Keeper, slate: Slate, tmp_path: Path) -> None:
    archive = tmp_path / "flat.tar"
    with tarfile.open(archive, "w") as tar:
        info = tarfile.TarInfo("page")
        tar.addfile(info)
    slate.volume("data")
    slate.path("data").chmod(0o2750)
    assert keeper.restore("data", backup=str(archive))["changed"]
    assert slate.path("data").stat().st_mode & 0o7777 == 0o2750
    assert keeper.restore("data", backup=str(archive))["changed"] is False


def _truncate(archive: Path) -> None:
    with archive.open("r+b") as file:
        file.truncate(archive.stat().st_size // 2)


def _flip(archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 0x10
    archive.write_bytes(bytes(data))


def _no_manifest(archive: Path) -> None:
    (archive.parent / f"{archive.name.split('.')[0]}.json").unlink()


@pytest.mark.parametrize("harm", [_truncate, _flip, _no_manifest], ids=lambda harm: harm.__name__.strip("_"))
def test_a_damaged_backup_is_refused_and_all_stays(harm: Callable[[Path], None], keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    root = slate.path("data")
    for number in range(50):
        (root / f"file{number}").write_bytes(b"%d" % number * 5000)
    made = keeper.backup("data")["backups"][0]
    container = slate.service(volumes={"data": {"bind": "/data"}})
    before = slate.state(container)
    _write(root, page="new")
    content = _tree(root)
    harm(Path(made["path"]))
    message = keeper.no_restore(volume="data", backup=made["id"])
    assert made["id"] in message and ("damaged" in message or "no manifest" in message)
    assert _tree(root) == content and slate.state(container) == before and _beside(slate, "data") == []


def _member(name: str, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


HOSTILE = {
    "dot dot": ([_member("a/../../outside")], ".. in its name"),
    "absolute": ([_member("/outside")], "absolute name"),
    "through a link": (
        [_member("link", type=tarfile.SYMTYPE, linkname="/tmp"), _member("link/outside")],
        "through a symbolic link",
    ),
    "hard link outside": ([_member("hard", type=tarfile.LNKTYPE, linkname="../../outside")], ".. in its name"),
    "hard link through a link": (
        [
            _member("link", type=tarfile.SYMTYPE, linkname="/etc"),
            _member("hard", type=tarfile.LNKTYPE, linkname="link/passwd"),
        ],
        "through a symbolic link",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_and_all_stays(case: str, keeper: Keeper, slate: Slate, tmp_path: Path) -> None:
    members, words = HOSTILE[case]
    archive = tmp_path / "hostile.tar"
    with tarfile.open(archive, "w") as tar:
        tar.addfile(_member("innocent"))
        for member in members:
            tar.addfile(member)
    slate.volume("data")
    _write(slate.path("data"), page="own")
    container = slate.service(volumes={"data": {"bind": "/data"}})
    before = slate.state(container)
    message = keeper.no_restore(volume="data", backup=str(archive))
    assert words in message and str(archive) in message
    assert _tree(slate.path("data")) == {"page": "own"}
    assert slate.state(container) == before and _beside(slate, "data") == []


def test_containers_that_do_not_come_up_get_the_old_data_back(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    root = slate.path("data")
    _write(root, page="old")
    keeper.backup("data")
    _write(root, ready="yes", page="new")
    picky = slate.service(
        ["sh", "-c", "test -e /data/ready || exit 3; trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"],
        name="picky",
        volumes={"data": {"bind": "/data"}},
    )
    message = keeper.no_restore(volume="data", wait_healthy=2)
    assert "did not come up" in message and "picky" in message
    assert _tree(root) == {"page": "new", "ready": "yes"}
    assert slate.state(picky)[0] == "running" and _inside(slate, "picky", "/data/page") == "new"
    assert _beside(slate, "data") == []


def test_what_must_not_be_stopped_is_refused_before_anything(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    _write(slate.path("data"), page="old")
    keeper.backup("data")
    _write(slate.path("data"), page="new")
    first = slate.service(name="a-first", volumes={"data": {"bind": "/data"}})
    before = slate.state(first)
    passing = slate.service(name="passing", volumes={"data": {"bind": "/data"}}, remove=True)
    assert "--rm" in keeper.no_restore(volume="data")
    assert slate.state(passing)[0] == "running"
    passing.remove(force=True)
    paused = slate.service(name="paused", volumes={"data": {"bind": "/data"}})
    paused.pause()
    assert "paused" in keeper.no_restore(volume="data")
    assert slate.state(first) == before and _tree(slate.path("data")) == {"page": "new"}
    paused.unpause()


def test_diff_shows_what_a_restore_takes_away_and_brings_back(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    _write(slate.path("data"), stays="s", changes="old", goes="g")
    keeper.backup("data")
    (slate.path("data") / "goes").unlink()
    _write(slate.path("data"), changes="new!", extra="e")
    shown = keeper.restore("data", check=True, diff=True)["diff"][0]
    assert "extra" in shown["before"] and "extra" not in shown["after"]
    assert "goes" in shown["after"] and "changes" in shown["before"] and "stays" not in str(shown)
    assert sorted(_tree(slate.path("data"))) == ["changes", "extra", "stays"]


@pytest.mark.parametrize(
    "options", [["--acls"], ["--acls", "--xattrs"], ["--xattrs", "--xattrs-include=*"]], ids=" ".join
)
def test_access_control_lists_of_an_archive_made_elsewhere_come_back(
    options: list[str], keeper: Keeper, slate: Slate, tmp_path: Path
) -> None:
    origin = tmp_path / "origin"
    (origin / "sub").mkdir(parents=True)
    (origin / "page").write_text("one")
    # Users by name, as tar writes them, and by a number that nobody has.
    subprocess.run(["setfacl", "-m", "u:daemon:rw,u:4321:r,g:adm:r", origin / "page"], check=True)
    subprocess.run(["setfacl", "-d", "-m", "u:daemon:rwx", origin / "sub"], check=True)
    archive = tmp_path / "made.tar"
    subprocess.run(["tar", "--format=posix", *options, "-C", origin, "-cf", archive, "."], check=True)
    slate.volume("data")
    keeper.restore("data", backup=str(archive))
    for name in ("page", "sub"):
        one, other = (
            subprocess.run(
                ["getfacl", "-n", "-c", "-p", root / name], check=True, capture_output=True, text=True
            ).stdout
            for root in (origin, slate.path("data"))
        )
        assert one == other
    assert keeper.restore("data", backup=str(archive))["changed"] is False


def test_access_control_lists_that_name_users_are_no_change(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    _write(slate.path("data"), page="one")
    subprocess.run(["setfacl", "-m", "u:daemon:rw", slate.path("data") / "page"], check=True)
    keeper.backup("data")
    shutil.rmtree(keeper.modules.state / "walks")
    assert keeper.backup("data")["changed"] is False
    keeper.restore("data", to="copy")
    assert keeper.restore("data", to="copy")["changed"] is False


def test_undo_never_goes_further_back_than_the_last_restore(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    root = slate.path("data")
    _write(root, page="backed up")
    keeper.backup("data")
    _write(root, page="first")
    keeper.restore("data")
    _write(root, page="second")
    keeper.restore("data", keep_previous=False)
    assert _beside(slate, "data") == []
    assert keeper.restore("data", undo=True)["changed"] is False
    assert _tree(root) == {"page": "backed up"}


def test_a_service_that_ends_soon_after_its_start_gets_the_old_data_back(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    root = slate.path("data")
    _write(root, page="bad")
    keeper.backup("data")
    _write(root, page="good")
    # It looks at its data a second after it has begun, and the engine starts it again and again.
    script = "sleep 1; grep -q good /data/page || exit 3; trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"
    policy = {"Name": "on-failure", "MaximumRetryCount": 20}
    slate.service(["sh", "-c", script], name="app", volumes=["data:/data"], restart_policy=policy)
    time.sleep(2)
    message = keeper.no_restore(volume="data", wait_healthy=8)
    assert "app" in message and "data from before was put back" in message
    assert _tree(root) == {"page": "good"}
    time.sleep(2)
    assert slate.state(slate.client.containers.get("app"))[0] == "running"


def test_one_that_cannot_be_started_again_is_named_and_the_others_run(
    keeper: Keeper, slate: Slate, tmp_path: Path
) -> None:
    slate.volume("data")
    root = slate.path("data")
    _write(root, page="old")
    keeper.backup("data")
    _write(root, page="new")
    (tmp_path / "gone").mkdir()
    other = slate.service(name="other", volumes=["data:/data"])
    mounts = [
        docker.types.Mount("/data", "data", type="volume"),
        docker.types.Mount("/gone", str(tmp_path / "gone"), type="bind"),
    ]
    slate.service(name="broken", mounts=mounts)
    # Without the directory that it mounts, the engine does not start it any more.
    (tmp_path / "gone").rmdir()
    message = keeper.no_restore(volume="data", wait_healthy=5)
    assert "docker start broken" in message and "data from before was put back" in message
    assert _tree(root) == {"page": "new"}
    assert slate.state(other)[0] == "running"
    assert _inside(slate, "other", "/data/page") == "new"
