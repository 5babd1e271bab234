# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a backup is restored to: a volume or a directory, there or not, with those who use it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup.consumers import Place, Use, lineage, uses
from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import BINDS, VOLUMES
from ansible_collections.steward.docker.plugins.module_utils._backup.roads import (
    Host,
    Road,
    mounts_something,
    place_of,
    refuse_bind,
    road_of_bind,
    road_of_volume,
)
from ansible_collections.steward.docker.plugins.module_utils._errors import RefusedError, StewardError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.steward.docker.plugins.module_utils._engine import Container, Engine, Volume

_ANOTHER = "Restore into another volume with to."


@dataclass
class Destination:
    """A volume or a directory. `road.path` is the directory that changes places with the staged one."""

    kind: str
    name: str
    road: Road
    place: Place
    volume: Optional[Volume] = None
    uses: list[Use] = field(default_factory=list)

    @property
    def exists(self) -> bool:
        """Whether it is there."""
        return self.volume is not None if self.kind == VOLUMES else os.path.lexists(self.name)

    @property
    def made_at(self) -> str:
        """The volume's time of creation, "" for a directory."""
        return self.volume.created_at if self.volume else ""

    @property
    def handle(self) -> dict[str, Any]:
        """What the engine's helper has to mount to reach the data."""
        return {"volume": self.name} if self.kind == VOLUMES else {"path": self.name}

    def lock_parts(self, engine: Engine) -> tuple[str, ...]:
        """Return what names the object for its lock; a backup of it takes the same one."""
        return (engine.facts.id, self.kind, self.name)

    def __str__(self) -> str:
        """Return it in words."""
        return f"the volume {self.name}" if self.kind == VOLUMES else f"the directory {self.name}"


def bound_directory(volume: Volume) -> str:
    """Return the host directory that a local volume with `o: bind` is, or ""."""
    flags = volume.options.get("o", "").split(",")
    device = volume.options.get("device", "")
    return device if ("bind" in flags or "rbind" in flags) and device.startswith("/") else ""


def anonymous_volume(kept_as: str, containers: Sequence[Container]) -> str:
    """Return the name of the anonymous volume that is kept as CONTAINER:DESTINATION. Raise StewardError when none is."""
    container_name, _colon, destination = kept_as.partition(":")
    for container in containers:
        if container.name == container_name:
            for mount in container.mounts:
                if mount.volume and mount.destination == destination:
                    return mount.volume
    raise StewardError(
        f"No container {container_name} has a volume at {destination} now, so the anonymous volume {kept_as} has no place. "
        "Create the container first, or restore into a named volume with to."
    )


def volume_destination(engine: Engine, name: str, host: Host) -> Destination:
    """Return the destination that a volume is, whether it is there or not."""
    volume = engine.volume(name)
    if volume is None:
        return Destination(VOLUMES, name, Road("", "it is not there yet"), Place(volume=name))
    directory = bound_directory(volume)
    road = road_of_volume(volume, host)
    if host.paths and volume.driver == "local" and directory:
        road = Road(directory, "the directory that the volume is bound to")
    elif road.path and mounts_something(volume):
        road = Road("", "something is mounted at its mountpoint")
    return Destination(VOLUMES, name, road, place_of(name, road), volume)


def directory_destination(path: str, host: Host) -> Destination:
    """Return the destination that a host directory is, whether it is there or not."""
    if not host.paths:
        raise RefusedError(f"The directory {path} cannot be restored: {host.why_not}. {_ANOTHER}")
    road = road_of_bind(path, host)
    return Destination(BINDS, path, road, Place(path=path, lineage=lineage(path)))


def observe_uses(destination: Destination, containers: Sequence[Container]) -> None:
    """Fill in who uses the destination."""
    destination.uses = uses(destination.place, containers, {})


def refuse_unfit(destination: Destination, engine: Engine, host: Host) -> None:
    """Raise RefusedError when the destination's directory cannot change places with a staged one."""
    path = destination.road.path
    if not path:
        return
    if destination.kind == BINDS:
        refuse_bind(path, engine.facts, host.mounts)
        parent = os.path.dirname(path)
        if not os.path.isdir(parent):
            raise RefusedError(f"The directory {path} cannot be made: there is no {parent}. Make it first.")
    if not os.path.lexists(path):
        return
    if os.path.islink(path) or not os.path.isdir(path):
        raise RefusedError(f"{path} is no real directory, so it cannot be replaced as one. {_ANOTHER}")
    inside = os.fsencode(os.path.realpath(path))
    for point in host.mounts:
        if point == inside:
            raise RefusedError(f"A file system is mounted at {path}, so it cannot be replaced as a whole. {_ANOTHER}")
        if point.startswith(inside + b"/"):
            raise RefusedError(
                f"A file system is mounted at {os.fsdecode(point)}, inside of {destination}: unmount it first. {_ANOTHER}"
            )
    _refuse_strange(destination, engine)


def _refuse_strange(destination: Destination, engine: Engine) -> None:
    """Raise RefusedError unless the engine sees the same root directory at the path as we do."""
    ours = os.stat(destination.road.path)
    with engine.helper(**destination.handle) as helper:
        theirs = engine.root_entry(helper)
    seen = (theirs.mode & 0o7777, theirs.uid, theirs.gid, int(theirs.mtime))
    mapped = engine.facts.rootless or engine.facts.user_namespaces
    expected = (ours.st_mode & 0o7777, ours.st_uid, ours.st_gid, int(ours.st_mtime))
    if (seen[0], seen[3]) != (expected[0], expected[3]) or (not mapped and seen != expected):
        raise RefusedError(
            f"The engine sees another directory than this host at {destination.road.path}: mode, owner or time differ. "
            f"{_ANOTHER}"
        )
