# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which volumes and directories a run is about: pure, out of the options and what the engine lists."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.steward.docker.plugins.module_utils._errors import NotFoundError, StewardError
from ansible_collections.steward.docker.plugins.module_utils._order import PROJECT_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible_collections.steward.docker.plugins.module_utils._engine import Container, Volume

ANONYMOUS_LABEL = "com.docker.volume.anonymous"
_GENERATED_NAME = re.compile(r"[0-9a-f]{64}")


class Selection(NamedTuple):
    """The options that select."""

    volumes: Sequence[str] = ()
    containers: Sequence[str] = ()
    compose_project: str | None = None
    labels: Sequence[str] = ()
    everything: bool = False
    exclude: Sequence[str] = ()
    bind_mounts: bool = False
    anonymous: bool = False


class ChosenVolume(NamedTuple):
    """A volume to work on, and the name under which its backups are kept."""

    volume: Volume
    kept_as: str
    # Of an anonymous volume: the container and the destination that it is known by.
    container: str = ""
    destination: str = ""


class ChosenBind(NamedTuple):
    """A host directory to work on, and a container that mounts it."""

    path: str
    container: str


def is_anonymous(volume: Volume) -> bool:
    """Return whether the engine made up the volume's name."""
    return ANONYMOUS_LABEL in volume.labels or bool(_GENERATED_NAME.fullmatch(volume.name))


def find_container(wanted: str, containers: Iterable[Container]) -> Container:
    """Return the container of that full name, else of that full ID."""
    found = list(containers)
    for container in found:
        if container.name == wanted.lstrip("/"):
            return container
    for container in found:
        if container.id == wanted:
            return container
    raise NotFoundError(
        f"There is no container {wanted} on this engine. It has: {_listed(container.name for container in found)}."
    )


def find_volume(wanted: str, volumes: Iterable[Volume]) -> Volume:
    """Return the volume of that name."""
    found = list(volumes)
    for volume in found:
        if volume.name == wanted:
            return volume
    raise NotFoundError(
        f"There is no volume {wanted} on this engine. It has: {_listed(volume.name for volume in found)}."
    )


def _listed(names: Iterable[str], most: int = 10) -> str:
    ordered = sorted(names)
    rest = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return (", ".join(ordered[:most]) or "none") + rest


def labels_match(wanted: Iterable[str], labels: dict[str, str]) -> bool:
    """Return whether all of `key` or `key=value` hold."""
    for item in wanted:
        key, has_value, value = item.partition("=")
        if key not in labels or (has_value and labels[key] != value):
            return False
    return True


def anonymous_name(container: str, destination: str) -> str:
    """Return the name under which the backups of a container's anonymous volume are kept."""
    return f"{container}:{destination}"


def _excluded(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _users(volume: Volume, containers: Iterable[Container]) -> list[tuple[str, str]]:
    return sorted(
        (container.name, mount.destination)
        for container in containers
        for mount in container.mounts
        if mount.volume == volume.name
    )


def _chosen_containers(options: Selection, containers: Sequence[Container]) -> list[Container]:
    named = {find_container(name, containers).id for name in options.containers}
    return [
        container
        for container in containers
        if options.everything
        or container.id in named
        or (options.compose_project and container.labels.get(PROJECT_LABEL) == options.compose_project)
    ]


def choose(
    options: Selection, volumes: Sequence[Volume], containers: Sequence[Container]
) -> tuple[list[ChosenVolume], list[ChosenBind]]:
    """Return the volumes and the mounted host directories that the options select, by name.

    Raise NotFoundError for a volume or container that is named and not there, StewardError when nothing is asked for.
    """
    asked = (options.volumes, options.containers, options.compose_project, options.labels, options.everything)
    if not any(asked):
        raise StewardError("Nothing is selected: set volumes, containers, compose_project, labels or all.")
    chosen_containers = _chosen_containers(options, containers)
    mounted = {mount.volume for container in chosen_containers for mount in container.mounts if mount.volume}
    named = {find_volume(name, volumes).name for name in options.volumes}
    found: list[ChosenVolume] = []
    for volume in volumes:
        wanted = (
            options.everything
            or volume.name in mounted
            or (options.compose_project and volume.labels.get(PROJECT_LABEL) == options.compose_project)
            or (options.labels and labels_match(options.labels, volume.labels))
        )
        if volume.name in named:
            item = ChosenVolume(volume, volume.name)
        elif not wanted or (is_anonymous(volume) and not options.anonymous):
            continue
        elif is_anonymous(volume) and (users := _users(volume, containers)):
            item = ChosenVolume(volume, anonymous_name(*users[0]), *users[0])
        else:
            item = ChosenVolume(volume, volume.name)
        if not _excluded(item.kept_as, options.exclude):
            found.append(item)
    binds = (
        {
            mount.source: container.name
            for container in reversed(chosen_containers)
            for mount in container.mounts
            if mount.kind == "bind" and not _excluded(mount.source, options.exclude)
        }
        if options.bind_mounts
        else {}
    )
    return found, [ChosenBind(path, name) for path, name in sorted(binds.items())]
