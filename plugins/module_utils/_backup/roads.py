# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""By what road data is read or written: on the host's path, or through the engine. Decided from facts."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.steward.docker.plugins.module_utils._backup.consumers import Place, lineage
from ansible_collections.steward.docker.plugins.module_utils._errors import RefusedError
from ansible_collections.steward.docker.plugins.module_utils._local import file_system_of, mount_points, shares_mounts

if TYPE_CHECKING:
    from ansible_collections.steward.docker.plugins.module_utils._engine import Engine, EngineFacts, Volume

# What the engine's archive API does not carry, as measured: the manifest of a backup made by that road says so.
LOST_BY_ENGINE_ROAD = (
    "access control lists",
    "extended attributes but security.capability",
    "fractions of a second in times",
    "holes in sparse files",
)
PSEUDO_FILE_SYSTEMS = frozenset(
    [
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "fusectl",
        "hugetlbfs",
        "mqueue",
        "nsfs",
        "proc",
        "pstore",
        "ramfs",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "sysfs",
        "tracefs",
    ]
)


class Host(NamedTuple):
    """What this host is to the engine."""

    # The engine's host paths are ours, we may read them, and GNU tar is there to do it.
    paths: bool
    why_not: str
    mounts: dict[bytes, bytes]


class Road(NamedTuple):
    """How to reach some data: `path` on this host, or "" for the engine's archive API; and why."""

    path: str
    reason: str


def has_gnu_tar() -> bool:
    """Return whether the host's tar is GNU tar."""
    found = shutil.which("tar")
    if not found:
        return False
    version = subprocess.run([found, "--version"], capture_output=True, check=False, text=True, errors="replace")
    return "GNU tar" in version.stdout


def observe_host(engine: Engine) -> Host:
    """Return whether host paths can be used for this engine's data, and what is mounted."""
    if not shares_mounts(engine.url):
        why_not = "the engine's file system is not proven to be this host's"
    elif os.geteuid() != 0 and not engine.facts.rootless:
        why_not = "reading the engine's directories needs root"
    elif not has_gnu_tar():
        why_not = "this host has no GNU tar"
    else:
        why_not = ""
    return Host(paths=not why_not, why_not=why_not, mounts=mount_points())


def mounts_something(volume: Volume) -> bool:
    """Return whether the local driver mounts something at the volume's mountpoint while a container uses it."""
    return "device" in volume.options or "type" in volume.options


def road_of_volume(volume: Volume, host: Host) -> Road:
    """Return the road to a volume's data."""
    if not host.paths:
        return Road("", host.why_not)
    if volume.driver != "local":
        return Road("", f"its driver is {volume.driver}")
    mountpoint = volume.mountpoint
    if not os.path.isdir(mountpoint) or os.path.islink(mountpoint):
        return Road("", f"{mountpoint} is no directory here")
    if mounts_something(volume) and os.fsencode(os.path.realpath(mountpoint)) not in host.mounts:
        return Road("", "nothing mounts it just now, so its mountpoint is an empty directory")
    return Road(mountpoint, "a local volume on this host")


def road_of_bind(path: str, host: Host) -> Road:
    """Return the road to a host directory that containers mount."""
    return Road(path, "a directory of this host") if host.paths else Road("", host.why_not)


def place_of(volume: str, road: Road, path: str = "") -> Place:
    """Return the place that a volume or a directory is, for finding who uses it."""
    return Place(volume=volume, path=path or road.path, lineage=lineage(road.path) if road.path else ())


def refuse_bind(path: str, facts: EngineFacts, mounts: dict[bytes, bytes]) -> None:
    """Raise RefusedError for a host directory that is no data: the root, a pseudo file system, the engine's own."""
    real = os.path.realpath(path)
    root_dir = os.path.realpath(facts.root_dir) if facts.root_dir else ""
    remedy = "Leave it out with exclude."
    if real == "/":
        raise RefusedError(f"The directory {path} is the root of the host: it is not backed up as data. {remedy}")
    if root_dir and (f"{real}/".startswith(f"{root_dir}/") or f"{root_dir}/".startswith(f"{real}/")):
        raise RefusedError(f"The directory {path} is or contains the engine's own root {facts.root_dir}. {remedy}")
    kind = file_system_of(real, mounts)
    if kind in PSEUDO_FILE_SYSTEMS:
        raise RefusedError(f"The directory {path} is on {kind}, a pseudo file system: there is no data in it. {remedy}")


def refuse_store_inside(store: str, road: Road, name: str) -> None:
    """Raise RefusedError when the store is inside the data that is to be backed up into it."""
    if road.path and lineage(road.path)[:1] and lineage(road.path)[0] in lineage(_nearest(store)):
        raise RefusedError(
            f"The store {store} is inside {name}, which is to be backed up into it. Choose a store outside of it."
        )


def _nearest(path: str) -> str:
    """Return the path, or the nearest one above it that is there."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def user_mapping(facts: EngineFacts) -> str:
    """Return how the engine maps the containers' users, as text to be compared: "" when it does not."""
    if facts.rootless:
        return "rootless"
    # With userns-remap the engine keeps its data in a directory named after the mapped IDs.
    return os.path.basename(facts.root_dir) if facts.user_namespaces else ""
