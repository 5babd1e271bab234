# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which container needs which other one: the order of starting; stopping is its reverse."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.steward.docker.plugins.module_utils._engine import Container

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
DEPENDS_LABEL = "com.docker.compose.depends_on"


def needs(container: Container, others: Iterable[Container]) -> set[str]:
    """Return the IDs of those others that have to run before this container does.

    Known from the labels that compose writes (`db:service_healthy:true,cache:…`, older ones without the conditions),
    from a network shared with another container, and from links.
    """
    project = container.labels.get(PROJECT_LABEL)
    services = {part.split(":")[0] for part in container.labels.get(DEPENDS_LABEL, "").split(",") if part}
    shared = container.network_mode.partition("container:")[2]
    return {
        other.id
        for other in others
        if other.id != container.id
        and (
            (project and other.labels.get(PROJECT_LABEL) == project and other.labels.get(SERVICE_LABEL) in services)
            or (shared and shared in (other.id, other.name))
            or container.name in other.linked_by
        )
    }


def dependants(of: Iterable[Container], others: Iterable[Container]) -> list[Container]:
    """Return those others that need one of the containers, directly or through others, by name."""
    found = {container.id: container for container in of}
    first = set(found)
    left = sorted(others, key=lambda container: container.name)
    while fresh := [other for other in left if other.id not in found and needs(other, found.values())]:
        found.update({container.id: container for container in fresh})
    return [container for identifier, container in found.items() if identifier not in first]


def _in_circle(identifier: str, required: dict[str, set[str]], done: set[str]) -> bool:
    """Return whether a container needs itself, through others that are not done."""
    seen: set[str] = set()
    ahead = [identifier]
    while ahead:
        for needed in required[ahead.pop()] - done - seen:
            seen.add(needed)
            ahead.append(needed)
    return identifier in seen


def starting_order(containers: Iterable[Container]) -> list[Container]:
    """Return the containers so that each comes after those it needs, else by name; a circle is broken by name."""
    left = sorted(containers, key=lambda container: container.name)
    required = {container.id: needs(container, left) for container in left}
    ordered: list[Container] = []
    done: set[str] = set()
    while left:
        ready = (container for container in left if required[container.id] <= done)
        chosen = next(ready, None) or next(container for container in left if _in_circle(container.id, required, done))
        left.remove(chosen)
        done.add(chosen.id)
        ordered.append(chosen)
    return ordered
