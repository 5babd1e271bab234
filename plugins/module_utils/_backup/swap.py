# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A staged tree and the data change places, while those who use the data are stopped; or go back, if they do not come up."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.steward.docker.plugins.module_utils._backup.beside import mounted_somewhere
from ansible_collections.steward.docker.plugins.module_utils._backup.consumers import consumers, lineage, uses
from ansible_collections.steward.docker.plugins.module_utils._backup.disk import exchange, syncfs
from ansible_collections.steward.docker.plugins.module_utils._backup.quiesce import Held, Quiescence, wait_until_up
from ansible_collections.steward.docker.plugins.module_utils._errors import EngineError, QuiesceError, RefusedError

if TYPE_CHECKING:
    from ansible_collections.steward.docker.plugins.module_utils._backup.beside import Wrapper
    from ansible_collections.steward.docker.plugins.module_utils._backup.destination import Destination
    from ansible_collections.steward.docker.plugins.module_utils._engine import Container, Engine

# How long a container that was just being started has to show that it runs.
_SETTLED_SECONDS = 10.0
_POLL = 0.2


class Swapped(NamedTuple):
    """Who was held for a swap, and what a person should know of it."""

    held: list[Held]
    warnings: list[str]


def refuse_paused(destination: Destination) -> None:
    """Raise RefusedError when a container that uses the data is paused: it could not be stopped in good order."""
    for container in consumers(destination.uses):
        if container.state == "paused":
            raise RefusedError(
                f"The container {container.name}, which uses {destination}, is paused and so cannot end in good order. "
                f"Unpause or stop it first: docker unpause {container.name}"
            )


def probe_exchange(wrapper: Wrapper) -> None:
    """Raise RefusedError, before anything is stopped, when the file system cannot exchange two directories."""
    one, other = wrapper.path / "one", wrapper.path / "other"
    one.mkdir()
    other.mkdir()
    try:
        exchange(str(one), str(other))
    finally:
        one.rmdir()
        other.rmdir()


INSTEAD_OF_STOPPING = "Restore into another volume with to"


def swap(engine: Engine, destination: Destination, wrapper: Wrapper, wait_healthy: float) -> Swapped:
    """Let the wrapper's tree and the data change places while every container that uses the data is stopped.

    Afterwards the wrapper has the old data. When the containers do not come up on the new data, everything is put back and
    QuiesceError says so.
    """
    path, tree = destination.road.path, str(wrapper.tree)
    users = consumers(destination.uses)
    quiescence = Quiescence(engine, users, "stop")
    _exchange_while_held(quiescence, tree, path)
    warnings = _restart_newcomers(engine, destination, {container.id for container in users}, wrapper)
    wrong = list(quiescence.failures)
    if users and not wrong:
        wrong = [f"{name} {state}" for name, state in wait_until_up(engine, users, wait_healthy).items()]
    if wrong:
        _exchange_while_held(Quiescence(engine, _running(engine, users), "stop"), tree, path)
        left = _start_again(engine, users)
        raise QuiesceError(
            f"The containers did not come up on the restored data of {destination} ({'; '.join(wrong)}). The data from "
            f"before was put back. {left or 'The containers were started on it.'}"
        )
    return Swapped(quiescence.held, warnings)


def _exchange_while_held(quiescence: Quiescence, tree: str, path: str) -> None:
    try:
        with quiescence:
            exchange(tree, path)
            syncfs(os.path.dirname(path))
    finally:
        # Once more: a signal at the very end of the block comes before its own release.
        quiescence.release()


def _start_again(engine: Engine, users: list[Container]) -> str:
    """Start those that do not run; return which could not be started, "" when all were."""
    running = {container.id for container in _running(engine, users)}
    failures: list[str] = []
    for container in users:
        if container.id not in running:
            try:
                engine.start(container.id)
            except EngineError as error:
                failures.append(f"{error} Start it by hand: docker start {container.name}")
    return " ".join(failures)


def _running(engine: Engine, users: list[Container]) -> list[Container]:
    ids = {container.id for container in users}
    return [container for container in engine.containers() if container.id in ids and container.alive]


def _restart_newcomers(engine: Engine, destination: Destination, known: set[str], replaced: Wrapper) -> list[str]:
    """Restart the containers that began to use the data while it was restored: they have the old tree mounted."""
    place = destination.place._replace(lineage=lineage(destination.road.path))
    restarted: dict[str, str] = {}
    deadline = time.monotonic() + _SETTLED_SECONDS
    while mounted_somewhere(replaced) and time.monotonic() < deadline:
        for container in consumers(uses(place, engine.containers(), {})):
            if container.id not in known and container.id not in restarted:
                engine.restart(container.id)
                restarted[container.id] = container.name
        # A container that is just being started has its mounts before it is listed as running.
        time.sleep(_POLL)
    return [
        f"The container {name} started to use {destination} while it was restored; it was restarted, so that it sees the "
        "restored data."
        for name in restarted.values()
    ]
