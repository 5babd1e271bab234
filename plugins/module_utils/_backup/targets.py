# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The volumes and directories of a run, with all that was observed of them before anything is decided."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup.consumers import Inode, Place, Use, uses
from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import BINDS, VOLUMES, Subject
from ansible_collections.steward.docker.plugins.module_utils._backup.roads import (
    Host,
    Road,
    mounts_something,
    place_of,
    refuse_bind,
    refuse_store_inside,
    road_of_bind,
    road_of_volume,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.saved_walk import WalkKey
from ansible_collections.steward.docker.plugins.module_utils._errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.steward.docker.plugins.module_utils._backup.select import ChosenBind, ChosenVolume
    from ansible_collections.steward.docker.plugins.module_utils._engine import Container, Engine, Volume


@dataclass
class Target:
    """One volume or directory."""

    subject: Subject
    road: Road
    place: Place
    volume: Optional[Volume] = None
    path: str = ""
    anonymous: dict[str, str] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    # Why it is not worked on.
    refused: str = ""

    @property
    def kind(self) -> str:
        """The kind of object, as a plan names it."""
        return "volume" if self.volume else "directory"

    @property
    def made_at(self) -> str:
        """The volume's time of creation, "" for a directory."""
        return self.volume.created_at if self.volume else ""

    def lock_parts(self, engine: Engine) -> tuple[str, ...]:
        """Return what names the object for its lock; a restore of it takes the same one."""
        return (engine.facts.id, self.subject.kind, self.volume.name if self.volume else self.path)

    def walk_key(self, engine: Engine, store_id: str) -> WalkKey:
        """Return whose saved walk is this target's."""
        return WalkKey(engine.facts.id, store_id, self.subject, self.made_at)

    def handle(self) -> dict[str, Any]:
        """Return what the engine's helper has to mount to reach the data."""
        return {"volume": self.volume.name} if self.volume else {"path": self.path}


def volume_target(chosen: ChosenVolume, host_name: str, host: Host, *, stops: bool) -> Target:
    """Return the target that a chosen volume is; `stops` says that its containers will be stopped."""
    volume = chosen.volume
    road = road_of_volume(volume, host)
    if road.path and stops and mounts_something(volume):
        road = Road("", "its mount goes away when its containers are stopped")
    anonymous = {"container": chosen.container, "destination": chosen.destination} if chosen.container else {}
    return Target(
        Subject(host_name, VOLUMES, chosen.kept_as),
        road,
        place_of(volume.name, road),
        volume=volume,
        anonymous=anonymous,
    )


def bind_target(chosen: ChosenBind, host_name: str, host: Host) -> Target:
    """Return the target that a chosen directory is."""
    road = road_of_bind(chosen.path, host)
    return Target(Subject(host_name, BINDS, chosen.path), road, place_of("", road, chosen.path), path=chosen.path)


def observe_targets(
    engine: Engine,
    host: Host,
    store_path: str,
    containers: Sequence[Container],
    found: Sequence[Target],
) -> None:
    """Fill in who uses each target, and why one is refused."""
    lineages: dict[str, tuple[Inode, ...]] = {}
    for target in found:
        target.uses = uses(target.place, containers, lineages)
        try:
            if target.path:
                refuse_bind(target.path, engine.facts, host.mounts if host.paths else {})
            refuse_store_inside(store_path, target.road, str(target.subject))
        except RefusedError as error:
            target.refused = str(error)


def left_out_binds(chosen: Sequence[ChosenBind], host: Host) -> tuple[list[ChosenBind], list[str]]:
    """Return the mounted paths that are directories, each once, and a warning for each of the others."""
    kept: dict[str, ChosenBind] = {}
    warnings: list[str] = []
    for bind in chosen:
        if host.paths and not os.path.isdir(bind.path):
            warnings.append(f"{bind.path}, mounted into {bind.container}, is no directory and is not backed up.")
        else:
            kept.setdefault(os.path.realpath(bind.path) if host.paths else bind.path, bind)
    return list(kept.values()), warnings
