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
from ansible_collections.steward.docker.plugins.module_utils._backup.holding import STOP, Hold, plan_holds, refuse_stop
from ansible_collections.steward.docker.plugins.module_utils._backup.journal import HOLD, Journal
from ansible_collections.steward.docker.plugins.module_utils._backup.quiesce import Held, Quiescence, wait_until_up
from ansible_collections.steward.docker.plugins.module_utils._errors import EngineError, QuiesceError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def holds_for(destination: Destination, containers: Sequence[Container]) -> list[Hold]:
    """Return which containers are stopped while the destination's data is replaced, in the order of starting.

    Also those that only read: after the swap they would go on seeing the old tree.
    """
    using = consumers(destination.uses)
    return plan_holds(using, containers, {user.id: STOP for user in using}, f"it uses {destination}")


def refuse_holds(engine: Engine, destination: Destination, holds: Sequence[Hold]) -> None:
    """Raise RefusedError, before anything is touched, when a container cannot be stopped in good order."""
    refuse_paused(destination)
    for hold in holds:
        refuse_stop(hold.container, engine.inspect(hold.container.id), INSTEAD_OF_STOPPING)


class Swapper:
    """Lets the data of a destination change places with a staged tree, while those who use it are stopped."""

    def __init__(
        self, engine: Engine, destination: Destination, holds: Sequence[Hold], journal: Journal, wait_healthy: float
    ) -> None:
        """Prepare, without touching anything."""
        self._engine = engine
        self._destination = destination
        self._holds = holds
        self._journal = journal
        self._wait_healthy = wait_healthy

    def swap(self, wrapper: Wrapper) -> Swapped:
        """Let the wrapper's tree and the data change places.

        Afterwards the wrapper has the old data. When the containers do not come up, everything is put back and
        QuiesceError says so.
        """
        held = [hold.container for hold in self._holds]
        quiescence = self._exchange(wrapper, self._holds)
        known = {container.id for container in [*held, *consumers(self._destination.uses)]}
        warnings = self._restart_newcomers(known, wrapper)
        wrong = list(quiescence.failures)
        if held and not wrong:
            up = wait_until_up(self._engine, held, self._wait_healthy)
            wrong = [f"{name} {state}" for name, state in up.items()]
        if wrong:
            running = {container.id for container in self._running(held)}
            self._exchange(wrapper, [hold for hold in self._holds if hold.container.id in running])
            left = self._start_again(held)
            raise QuiesceError(
                f"The containers did not come up on the restored data of {self._destination} ({'; '.join(wrong)}). The data "
                f"from before was put back. {left or 'The containers were started on it.'}"
            )
        return Swapped(quiescence.held, warnings)

    def _exchange(self, wrapper: Wrapper, holds: Sequence[Hold]) -> Quiescence:
        path = self._destination.road.path
        quiescence = Quiescence(
            self._engine, holds, self._journal, wait_healthy=self._wait_healthy, instead=INSTEAD_OF_STOPPING
        )
        try:
            with quiescence:
                exchange(str(wrapper.tree), path)
                syncfs(os.path.dirname(path))
        finally:
            # Once more: a signal at the very end of the block comes before its own release.
            quiescence.release()
        return quiescence

    def _start_again(self, held: Sequence[Container]) -> str:
        """Start those that do not run; return which could not be started, "" when all were."""
        running = {container.id for container in self._running(held)}
        failures: list[str] = []
        for container in held:
            if container.id not in running:
                try:
                    self._engine.start(container.id)
                except EngineError as error:
                    failures.append(f"{error} Start it by hand: docker start {container.name}")
                else:
                    self._journal.end(HOLD, container.id)
        return " ".join(failures)

    def _running(self, held: Sequence[Container]) -> list[Container]:
        ids = {container.id for container in held}
        return [container for container in self._engine.containers() if container.id in ids and container.alive]

    def _restart_newcomers(self, known: set[str], replaced: Wrapper) -> list[str]:
        """Restart the containers that began to use the data while it was restored: they have the old tree mounted."""
        destination = self._destination
        place = destination.place._replace(lineage=lineage(destination.road.path))
        restarted: dict[str, str] = {}
        deadline = time.monotonic() + _SETTLED_SECONDS
        while mounted_somewhere(replaced) and time.monotonic() < deadline:
            for container in consumers(uses(place, self._engine.containers(), {})):
                if container.id not in known and container.id not in restarted:
                    self._engine.restart(container.id)
                    restarted[container.id] = container.name
            # A container that is just being started has its mounts before it is listed as running.
            time.sleep(_POLL)
        return [
            f"The container {name} started to use {destination} while it was restored; it was restarted, so that it sees "
            "the restored data."
            for name in restarted.values()
        ]
