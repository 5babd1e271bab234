# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers held still while their data is read or replaced, and put back in every outcome."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.steward.docker.plugins.module_utils._backup.holding import (
    PAUSE,
    STOP,
    Hold,
    Record,
    as_held,
    put_back,
    record_of,
    refuse_stop,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.journal import HOLD, Journal
from ansible_collections.steward.docker.plugins.module_utils._backup.recovery import bring_back
from ansible_collections.steward.docker.plugins.module_utils._errors import (
    EngineError,
    NoAnswerError,
    NotFoundError,
    QuiesceError,
)
from ansible_collections.steward.docker.plugins.module_utils._order import needs
from ansible_collections.steward.docker.plugins.module_utils._signals import asked_to_end, uninterrupted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible_collections.steward.docker.plugins.module_utils._engine import Container, Engine

_POLL = 0.2
_SETTLE_SECONDS = 2
# How long an engine that does not answer is waited for when containers have to be put back: it may be restarting.
_PATIENCE = 60


class Held(NamedTuple):
    """How long a container was held, in seconds."""

    container: str
    action: str
    seconds: float


class _Holding(NamedTuple):
    hold: Hold
    record: Record
    since: float


class Quiescence:
    """Pauses or stops containers on entry and puts exactly those back on exit.

    Each is in the journal before it is touched. With `limit`, everything is put back after so many seconds even when the
    block still runs; `expired` says so. A container that others need is waited for, up to `wait_healthy` seconds.
    """

    def __init__(
        self,
        engine: Engine,
        holds: Sequence[Hold],
        journal: Journal,
        *,
        limit: float | None = None,
        wait_healthy: float = 0,
        instead: str = "Back up with quiesce: pause",
    ) -> None:
        """Prepare; the holds are in the order of starting. `instead` is what else a person can do when one is refused."""
        self._engine = engine
        self._holds = holds
        self._journal = journal
        self._limit = limit
        self._wait_healthy = wait_healthy
        self._instead = instead
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        self._holding: list[_Holding] = []
        self.expired = False
        self.held: list[Held] = []
        self.failures: list[str] = []

    def __enter__(self) -> Quiescence:
        """Hold the containers, dependants first; on any failure put back those already held."""
        try:
            now = self._engine.clock() if self._holds else ""
            records = [record_of(hold, self._inspect_to_hold(hold), now) for hold in self._holds]
            if self._holds:
                # Before the timer's thread: the journal starts a process.
                self._journal.open()
            if self._limit and self._holds:
                self._timer = threading.Timer(self._limit, self._expire)
                self._timer.daemon = True
                self._timer.start()
            for hold, record in reversed(list(zip(self._holds, records))):
                self._hold(hold, record)
        except BaseException:
            self.release()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        """Put the containers back."""
        self.release()

    def _inspect_to_hold(self, hold: Hold) -> dict[str, Any]:
        details = self._engine.inspect(hold.container.id)
        if hold.action == STOP:
            refuse_stop(hold.container, details, self._instead)
        return details

    def _hold(self, hold: Hold, record: Record) -> None:
        # The signal waits until what was done is also written down, else the container would be forgotten.
        with uninterrupted(), self._lock:
            if self.expired:
                raise QuiesceError(f"quiesce_max passed before the container {record.name} could be held.")
            self._journal.begin(HOLD, record.id, **record._asdict())
            try:
                if hold.action == PAUSE:
                    self._engine.pause(record.id)
                else:
                    self._engine.stop(record.id, record.grace)
                    record = record._replace(finished_at=self._engine.inspect(record.id)["State"]["FinishedAt"])
                    self._journal.begin(HOLD, record.id, **record._asdict())
            except NotFoundError:
                self._journal.end(HOLD, record.id)
                return
            except EngineError as error:
                if self._still_writes(record):
                    # A stop that was not answered in time may still be carried out.
                    self._holding.append(_Holding(hold, record, time.monotonic()))
                    raise QuiesceError(
                        f"The container {record.name} could not be held by {hold.action}: {error}"
                    ) from error
                self._journal.end(HOLD, record.id)
                return
            self._holding.append(_Holding(hold, record, time.monotonic()))

    def _still_writes(self, record: Record) -> bool:
        try:
            return bool(self._engine.inspect(record.id)["State"]["Running"])
        except NotFoundError:
            return False
        except NoAnswerError:
            return True

    def refuse_loose(self) -> None:
        """Raise QuiesceError when somebody else has let go of a container that was to be held until now."""
        for holding in self._holding:
            record = holding.record
            try:
                held = as_held(record, self._engine.inspect(record.id)["State"])
            except NotFoundError:
                held = True
            if not held:
                raise QuiesceError(
                    f"The container {record.name} was held by {record.action}, and somebody else let it run meanwhile, so "
                    "what was read may not belong together. Find out who does that (a watcher that restarts what is "
                    "unhealthy, for example), and run the backup again."
                )

    def _expire(self) -> None:
        self.expired = True
        self.release()

    def release(self) -> None:
        """Put back what is held, those that others need first. What fails is in `failures`, and the rest goes on."""
        with uninterrupted(), self._lock:
            if self._timer is not None:
                self._timer.cancel()
            deadline = time.monotonic() + _PATIENCE
            started: list[Container] = []
            while self._holding:
                hold, record, since = self._holding.pop()
                try:
                    if self._put_back(record, deadline) == "start":
                        started.append(hold.container)
                    self._journal.end(HOLD, record.id)
                except EngineError as error:
                    self.failures.append(
                        f"The container {record.name} could not be put back after {hold.action}: {error} The next run "
                        f"tries again; or do it by hand: docker {'unpause' if hold.action == PAUSE else 'start'} {record.name}"
                    )
                self.held.append(Held(record.name, hold.action, round(time.monotonic() - since, 3)))
                self._wait_for_needed(started)
            self._wait_for(started)

    def _put_back(self, record: Record, deadline: float) -> str:
        """Bring a container back, unless somebody else has had it since; return what was done."""
        while True:
            try:
                action, _left = put_back(record, self._engine.inspect(record.id)["State"])
                bring_back(self._engine, record, action)
            except NotFoundError:
                return ""
            except NoAnswerError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_POLL)
            else:
                return action

    def _wait_for_needed(self, started: list[Container]) -> None:
        """Wait for the health of those that the next ones to be started need."""
        waiting = [holding.hold.container for holding in self._holding]
        needed = {identifier for container in waiting for identifier in needs(container, started)}
        self._wait_for([container for container in started if container.id in needed])

    def _wait_for(self, started: Sequence[Container]) -> None:
        """Wait for the health of those that have a health check; what does not become healthy is a failure."""
        if not self._wait_healthy or asked_to_end():
            return
        deadline = time.monotonic() + self._wait_healthy
        for container in started:
            while (health := self._health(container)) == "starting" and time.monotonic() < deadline:
                if asked_to_end():
                    return
                time.sleep(_POLL)
            message = (
                f"The container {container.name} was started again and is {health} after {self._wait_healthy:g} s."
            )
            if health in ("starting", "unhealthy") and message not in self.failures:
                self.failures.append(message)

    def _health(self, container: Container) -> str:
        try:
            state = self._engine.inspect(container.id)["State"]
        except EngineError:
            return ""
        return str((state.get("Health") or {}).get("Status", ""))


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
