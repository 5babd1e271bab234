# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who uses a volume or a directory: by name, and by the directory itself, however it is mounted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible_collections.steward.docker.plugins.module_utils._engine import Container

Inode = tuple[int, int]


class Place(NamedTuple):
    """What is backed up or restored: a volume by its name, a directory by its inode and those above it, or both."""

    volume: str = ""
    path: str = ""
    lineage: tuple[Inode, ...] = ()


class Use(NamedTuple):
    """One container's use of a place."""

    container: Container
    # "same": the place itself; "below": a directory inside it; "above": a directory that contains it.
    relation: str
    writable: bool


def lineage(path: str) -> tuple[Inode, ...]:
    """Return the inodes of a directory and of each one above it, nearest first; empty when it is not there."""
    found: list[Inode] = []
    current = os.path.realpath(path)
    while True:
        try:
            status = os.stat(current)
        except OSError:
            return ()
        found.append((status.st_dev, status.st_ino))
        parent = os.path.dirname(current)
        if parent == current:
            return tuple(found)
        current = parent


def _relation(place: Place, source: str, lineages: dict[str, tuple[Inode, ...]]) -> str:
    """Return how a mounted host directory stands to the place, or "" when it does not touch it."""
    if not place.lineage:
        return "same" if place.path and source == place.path else ""
    if source not in lineages:
        lineages[source] = lineage(source)
    mounted = lineages[source]
    if not mounted:
        return ""
    if mounted[0] == place.lineage[0]:
        return "same"
    if place.lineage[0] in mounted:
        return "below"
    return "above" if mounted[0] in place.lineage else ""


def uses(place: Place, containers: Iterable[Container], lineages: dict[str, tuple[Inode, ...]]) -> list[Use]:
    """Return every container that mounts the place, or a part of it, or what contains it.

    `lineages` remembers what was looked up: one directory is mounted into many containers, and many places ask.
    """
    found: list[Use] = []
    for container in containers:
        relations: dict[str, bool] = {}
        for mount in container.mounts:
            if place.volume and mount.volume == place.volume:
                relation = "same"
            elif mount.kind in ("bind", "volume") and mount.source.startswith("/"):
                relation = _relation(place, mount.source, lineages)
            else:
                relation = ""
            if relation:
                relations[relation] = relations.get(relation, False) or mount.writable
        found.extend(Use(container, relation, writable) for relation, writable in relations.items())
    return found


def users(found: Iterable[Use]) -> list[Container]:
    """Return the containers that see the place itself or a part of it, whether or not they run."""
    return _distinct(use.container for use in found if use.relation != "above")


def writers(found: Iterable[Use]) -> list[Container]:
    """Return the containers that run and can write to the place itself or into it."""
    return _distinct(
        use.container
        for use in found
        if use.writable and use.relation != "above" and use.container.state in ("running", "restarting")
    )


def consumers(found: Iterable[Use]) -> list[Container]:
    """Return the containers that run or are paused and see the place itself or a part of it, read-only ones too."""
    return _distinct(use.container for use in found if use.relation != "above" and use.container.alive)


def overlookers(found: Iterable[Use]) -> list[Container]:
    """Return the containers that run and can write to the place only through a directory that contains it."""
    all_uses = list(found)
    inside = {container.id for container in writers(all_uses)}
    return _distinct(
        use.container
        for use in all_uses
        if use.relation == "above"
        and use.writable
        and use.container.state in ("running", "restarting")
        and use.container.id not in inside
    )


def _distinct(containers: Iterable[Container]) -> list[Container]:
    return list({container.id: container for container in containers}.values())


def groups(members: Sequence[Iterable[str]]) -> list[list[int]]:
    """Return the indexes of the members that share a writer, directly or through others, in one list each."""
    found: list[tuple[set[str], list[int]]] = []
    for index, ids in enumerate(members):
        joined_ids, joined = set(ids), [index]
        apart: list[tuple[set[str], list[int]]] = []
        for group_ids, group in found:
            if group_ids & joined_ids:
                joined_ids |= group_ids
                joined = group + joined
            else:
                apart.append((group_ids, group))
        found = [*apart, (joined_ids, sorted(joined))]
    return sorted(group for _ids, group in found)
