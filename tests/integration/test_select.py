# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run selects, and what of it comes back under which name."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from lab.images import BUSYBOX

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Keeper, Slate

PROJECT = {"com.docker.compose.project": "shop"}


@pytest.fixture
def town(slate: Slate, tmp_path: Path) -> Path:
    """Make volumes and containers of every kind; return a directory that is mounted into one."""
    for name, labels in {
        "shop-db": {**PROJECT, "backup": "daily"},
        "shop-files": {"backup": "weekly"},
        "wiki": {"backup": "daily"},
        "spare": {},
    }.items():
        slate.volume(name, labels=labels)
        (slate.path(name) / "name").write_text(name)
    directory = tmp_path / "uploads"
    directory.mkdir()
    (directory / "name").write_text("uploads")
    # A data-volume container, which never runs, and one that takes its volumes.
    slate.client.containers.create(BUSYBOX, name="store-room", volumes=["shop-files:/files", "/scratch"])
    slate.service(
        name="shop", labels=PROJECT, volumes=["shop-db:/db", f"{directory}:/uploads"], volumes_from=["store-room"]
    )
    slate.service(name="wiki", volumes=["wiki:/pages:ro"])
    return directory


def _chosen(found: dict[str, Any]) -> list[str]:
    return sorted(row.get("volume") or row["path_backed_up"] for row in found["backups"])


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({"volumes": ["spare", "wiki"]}, ["spare", "wiki"]),
        ({"containers": ["shop"]}, ["shop-db", "shop-files"]),
        ({"containers": ["store-room"]}, ["shop-files"]),
        ({"containers": ["wiki"]}, ["wiki"]),
        ({"compose_project": "shop"}, ["shop-db", "shop-files"]),
        ({"labels": ["backup=daily"]}, ["shop-db", "wiki"]),
        ({"labels": ["backup"]}, ["shop-db", "shop-files", "wiki"]),
        ({"labels": ["backup", "com.docker.compose.project=shop"]}, ["shop-db"]),
        ({"all": True}, ["shop-db", "shop-files", "spare", "wiki"]),
        ({"all": True, "exclude": ["shop-*"]}, ["spare", "wiki"]),
        ({"containers": ["shop"], "volumes": ["spare"]}, ["shop-db", "shop-files", "spare"]),
        ({"containers": ["shop"], "anonymous": True}, ["shop-db", "shop-files", "shop:/scratch"]),
        ({"containers": ["shop"], "bind_mounts": True}, ["UPLOADS", "shop-db", "shop-files"]),
    ],
    ids=str,
)
def test_selects(options: dict[str, Any], chosen: list[str], town: Path, keeper: Keeper) -> None:
    found = keeper.backup(**options, check=True)
    assert _chosen(found) == sorted(str(town) if name == "UPLOADS" else name for name in chosen)


def test_an_anonymous_volume_is_known_by_its_container(town: Path, keeper: Keeper, slate: Slate) -> None:
    shop = slate.client.containers.get("shop")
    shop.exec_run(["sh", "-c", "echo one > /scratch/page"])
    found = keeper.backup(containers=["shop"], anonymous=True)
    assert "shop:/scratch" in _chosen(found)
    shop.exec_run(["sh", "-c", "echo two > /scratch/page"])
    keeper.restore("shop:/scratch")
    assert slate.client.containers.get("shop").exec_run(["cat", "/scratch/page"]).output == b"one\n"
    # Made anew, the container has another volume of its own under the same name.
    (mount,) = (mount for mount in shop.attrs["Mounts"] if mount["Destination"] == "/scratch")
    for name in ("shop", "store-room"):
        slate.client.containers.get(name).remove(force=True, v=True)
    slate.service(name="shop", volumes=["/scratch"])
    result = keeper.restore("shop:/scratch")
    assert result["changed"] and result["restored"]["volume"] != mount["Name"]
    assert slate.client.containers.get("shop").exec_run(["cat", "/scratch/page"]).output == b"one\n"


def test_excluded_paths_are_neither_kept_nor_a_change(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    root = slate.path("data")
    for name in ("cache/one", "sub/cache/two", "sub/note.tmp", "sub/keep"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    how = {"exclude_paths": ["cache", "*.tmp"]}
    row = keeper.backup("data", **how)["backups"][0]
    listed = subprocess.run(["tar", "-tf", row["path"]], check=True, capture_output=True, text=True).stdout.split()
    assert listed == ["./", "./sub/", "./sub/keep"]
    (root / "cache/one").write_text("changed")
    assert keeper.backup("data", **how)["changed"] is False
    assert keeper.backup("data")["backups"][0]["reason"] == "exclude_paths has changed"


def test_a_file_mounted_into_a_container_is_named_and_left(keeper: Keeper, slate: Slate, tmp_path: Path) -> None:
    (tmp_path / "one.conf").write_text("a file")
    slate.service(name="app", volumes=[f"{tmp_path / 'one.conf'}:/etc/one.conf"])
    found = keeper.backup(containers=["app"], bind_mounts=True)
    assert found["backups"] == [] and "one.conf" in " ".join(found["warnings"])


@pytest.mark.parametrize("path", ["/", "/proc", "/sys/kernel", "/dev/mqueue", "ROOT", "ABOVE ROOT"])
def test_what_is_no_data_is_refused(path: str, keeper: Keeper, slate: Slate) -> None:
    root = slate.engine.data_root
    source = {"ROOT": str(root / "containers"), "ABOVE ROOT": str(root.parent)}.get(path, path)
    slate.service(name="agent", volumes=[f"{source}:/host:ro"])
    message = keeper.no_backup(containers=["agent"], bind_mounts=True)
    assert source in message and "exclude" in message
    assert keeper.backup(containers=["agent"], bind_mounts=True, exclude=[source])["changed"] is False
