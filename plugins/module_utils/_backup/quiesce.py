# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers held still while their data is read or replaced, and put back in every outcome."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.steward.docker.plugins.module_utils._errors import (
    EngineError,
    NotFoundError,
    QuiesceError,
    RefusedError,
)
from ansible_collections.steward.docker.plugins.module_utils._order import starting_order
from ansible_collections.steward.docker.plugins.module_utils._signals import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.steward.docker.plugins.module_utils._engine import Container, Engine

TASK_LABEL = "com.docker.swarm.task.id"
# What the engine waits for after the stop signal when the container does not say.
DEFAULT_GRACE = 10
_POLL = 0.2
_SETTLE_SECONDS = 2


class Held(NamedTuple):
    """How long a container was held, in seconds."""

    container: str
    action: str
    seconds: float


def refuse_stop(container: Container, details: dict[str, Any], instead: str) -> None:
    """Raise RefusedError for a container that must not be stopped because the engine would not keep it.

    `instead` is what a person can do, beside what would make it fit to be stopped.
    """
    if details["HostConfig"].get("AutoRemove"):
        raise RefusedError(
            f"The container {container.name} was started with --rm: stopping it would delete it. "
            f"{instead}, or create it without --rm."
        )
    if TASK_LABEL in container.labels:
        raise RefusedError(
            f"The container {container.name} is a swarm task: swarm would replace it when it is stopped. "
            f"{instead}, or scale its service to 0 first."
        )


class Quiescence:
    """Pauses or stops containers on entry and puts exactly those back on exit.

    With `limit`, everything is put back after so many seconds even when the block still runs; `expired` says so.
    """

    def __init__(self, engine: Engine, containers: Iterable[Container], mode: str, limit: float | None = None) -> None:
        """Prepare; `mode` is pause, stop or none."""
        self._engine = engine
        self._containers = starting_order(containers) if mode != "none" else []
        self._mode = mode
        self._limit = limit
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        self._holding: list[tuple[Container, float]] = []
        self.expired = False
        self.held: list[Held] = []
        self.failures: list[str] = []

    def __enter__(self) -> Quiescence:
        """Hold the containers, dependants first; on any failure put back those already held."""
        try:
            details = {container.id: self._engine.inspect(container.id) for container in self._containers}
            if self._mode == "stop":
                for container in self._containers:
                    refuse_stop(container, details[container.id], "Back up with quiesce: pause")
            if self._limit and self._containers:
                self._timer = threading.Timer(self._limit, self._expire)
                self._timer.daemon = True
                self._timer.start()
            for container in reversed(self._containers):
                self._hold(container, details[container.id])
        except BaseException:
            self.release()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        """Put the containers back."""
        self.release()

    def _hold(self, container: Container, details: dict[str, Any]) -> None:
        # The signal waits until what was done is also written down, else the container would be forgotten.
        with uninterrupted(), self._lock:
            if self.expired:
                raise QuiesceError(f"quiesce_max passed before the container {container.name} could be held.")
            try:
                if self._mode == "pause":
                    self._engine.pause(container.id)
                else:
                    self._engine.stop(container.id, details["Config"].get("StopTimeout") or DEFAULT_GRACE)
            except NotFoundError:
                return
            except EngineError as error:
                if self._still_writes(container):
                    # A stop that was not answered in time may still be carried out.
                    self._holding.append((container, time.monotonic()))
                    raise QuiesceError(
                        f"The container {container.name} could not be held by {self._mode}: {error}"
                    ) from error
                return
            self._holding.append((container, time.monotonic()))

    def _still_writes(self, container: Container) -> bool:
        try:
            return bool(self._engine.inspect(container.id)["State"]["Running"])
        except NotFoundError:
            return False

    def _expire(self) -> None:
        self.expired = True
        self.release()

    def release(self) -> None:
        """Put back what is held, those that others need first. What fails is in `failures`, and the rest goes on."""
        with uninterrupted(), self._lock:
            if self._timer is not None:
                self._timer.cancel()
            while self._holding:
                container, since = self._holding.pop()
                try:
                    self._put_back(container)
                except EngineError as error:
                    self.failures.append(
                        f"The container {container.name} could not be put back after {self._mode}: {error} "
                        f"Start it by hand: docker {'unpause' if self._mode == 'pause' else 'start'} {container.name}"
                    )
                self.held.append(Held(container.name, self._mode, round(time.monotonic() - since, 3)))

    def _put_back(self, container: Container) -> None:
        try:
            state = self._engine.inspect(container.id)["State"]
        except NotFoundError:
            return
        if self._mode == "pause" and state["Paused"]:
            self._engine.unpause(container.id)
        elif self._mode == "stop" and not state["Running"]:
            self._engine.start(container.id)


def wait_until_up(engine: Engine, containers: Iterable[Container], seconds: float) -> dict[str, str]:
    """Wait until the containers have run for a while without a restart and, where they have a health check, are healthy.

    Return what is wrong, by container name, with those that are not up by then; empty when all are.
    """
    deadline = time.monotonic() + seconds
    waiting = list(containers)
    began: list[str] = []
    settled = 0.0
    while True:
        states = {container.name: engine.inspect(container.id)["State"] for container in waiting}
        wrong = {name: problem for name, state in states.items() if (problem := _problem(state))}
        starts = [state["StartedAt"] for state in states.values()]
        if wrong or starts != began:
            # One that ends soon after its start, and is started again by the engine, is not up.
            began, settled = starts, time.monotonic() + _SETTLE_SECONDS
        now = time.monotonic()
        if (not wrong and now >= settled) or now >= deadline:
            return wrong
        time.sleep(_POLL)


def _problem(state: dict[str, Any]) -> str:
    """Return why a container is not up, "" when it is."""
    if not state["Running"] or state["Restarting"]:
        return f"is {state['Status']}, exit code {state['ExitCode']} {state['Error']}".strip()
    health = (state.get("Health") or {}).get("Status", "none")
    return f"is {health}" if health in ("starting", "unhealthy") else ""
