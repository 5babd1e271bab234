# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run that was killed left pending is ended: its containers come back, its files go, its commands are run."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup import beside, journal
from ansible_collections.steward.docker.plugins.module_utils._backup.holding import Record, put_back
from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import Subject
from ansible_collections.steward.docker.plugins.module_utils._backup.store import Store
from ansible_collections.steward.docker.plugins.module_utils._errors import (
    EngineError,
    LockError,
    NotFoundError,
    StewardError,
)
from ansible_collections.steward.docker.plugins.module_utils._job import Action
from ansible_collections.steward.docker.plugins.module_utils._order import starting_order
from ansible_collections.steward.docker.plugins.module_utils._signals import uninterrupted
from ansible_collections.steward.docker.plugins.module_utils._state import Lock, dead_temporaries, write_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ansible_collections.steward.docker.plugins.module_utils._backup.journal import Header, Pending
    from ansible_collections.steward.docker.plugins.module_utils._engine import Engine

# What a watchdog leaves for the next run, which tells it to a person.
_TOLD = ".told"


class Recovered:
    """What was done about runs that were killed, or would be, and what a person should know."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.actions: list[Action] = []
        self.warnings: list[str] = []


def recover(engine: Engine, *, pretend: bool, lock_timeout: float) -> Recovered:
    """End what dead runs on this engine left pending, or with `pretend` only say what that would be.

    The journal of a living run is left alone. What cannot be done now stays in the journal for the next run.
    """
    recovered = Recovered()
    place = journal.directory()
    if not place.is_dir():
        return recovered
    for told in sorted(place.glob(f"*{_TOLD}")):
        _tell(engine, told, recovered, pretend=pretend)
    if not pretend:
        for abandoned, _name in dead_temporaries(place):
            abandoned.unlink(missing_ok=True)
    for path in sorted(place.glob(f"*{journal.SUFFIX}")):
        recover_one(engine, path, recovered, pretend=pretend, lock_timeout=lock_timeout)
    return recovered


def recover_one(engine: Engine, path: Path, recovered: Recovered, *, pretend: bool, lock_timeout: float) -> None:
    """End what is pending in one journal, unless its owner lives or it is another engine's."""
    with _dead(path) as lines:
        if lines is None:
            return
        try:
            header, pending = journal.parse(lines)
        except (ValueError, KeyError, TypeError) as error:
            recovered.warnings.append(
                f"The journal {path} of an earlier run is damaged: {error}. Look whether a container is paused or stopped "
                "that should run; the journal was set aside."
            )
            if not pretend:
                os.replace(path, path.with_suffix(".damaged"))
            return
        if header.engine != engine.facts.id:
            return
        left = _End(engine, header, recovered, pretend=pretend, lock_timeout=lock_timeout).end(pending)
        if not left and not pretend:
            path.unlink(missing_ok=True)


@contextmanager
def _dead(path: Path) -> Iterator[Optional[list[bytes]]]:
    """Yield the lines of a journal whose owner is dead, which stays locked for the time; None for any other."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield None
        return
    with open(descriptor, "rb") as file:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        # It may have been ended and removed between the two.
        yield file.readlines() if os.fstat(descriptor).st_nlink else None


class _End:
    """Ends what one dead run left pending."""

    def __init__(
        self, engine: Engine, header: Header, recovered: Recovered, *, pretend: bool, lock_timeout: float
    ) -> None:
        self._engine = engine
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(header.began))
        self._why = f"the {header.job} begun at {began} was killed or could not put everything back"
        self._recovered = recovered
        self._pretend = pretend
        self._lock_timeout = lock_timeout

    def end(self, pending: Sequence[Pending]) -> list[Pending]:
        """End all that is pending, containers first; return what could not be ended now."""
        left: list[Pending] = []
        for item in self._sorted(pending):
            try:
                with uninterrupted():
                    self._end_one(item)
            except (EngineError, LockError) as error:
                self._warn(f"{self._why}, and that cannot be mended yet: {error}")
                left.append(item)
        return left

    def _sorted(self, pending: Sequence[Pending]) -> list[Pending]:
        """Return the containers in their order of starting, then the rest in its own."""
        holds = {item.key: item for item in pending if item.what == journal.HOLD}
        known = [container for container in self._engine.containers() if container.id in holds]
        ordered = [holds.pop(container.id) for container in starting_order(known)]
        return [*ordered, *holds.values(), *(item for item in pending if item.what != journal.HOLD)]

    def _warn(self, warning: str) -> None:
        # A watchdog tries again and again.
        if warning not in self._recovered.warnings:
            self._recovered.warnings.append(warning)

    def _note(self, kind: str, identifier: str, name: str, action: str) -> None:
        self._recovered.actions.append(Action(kind, identifier, name, action, self._why))

    def _end_one(self, item: Pending) -> None:
        if item.what == journal.HOLD:
            self._put_back(Record(**item.facts))
        elif item.what == journal.AFTER:
            self._run_after(**item.facts)
        elif item.what == journal.FILES:
            self._sweep(**item.facts)
        elif item.what == journal.VOLUME:
            self._remove_unfilled(item.key, **item.facts)

    def _put_back(self, record: Record) -> None:
        if self._pretend:
            self._put_back_now(record)
            return
        # Another run may hold it at this moment.
        with Lock(container_lock(self._engine, record.id), f"the container {record.name}", self._lock_timeout):
            self._put_back_now(record)

    def _put_back_now(self, record: Record) -> None:
        try:
            action, left = put_back(record, self._engine.inspect(record.id)["State"])
        except NotFoundError:
            action, left = "", "it was removed since"
        if left:
            self._warn(f"{self._why} while it held the container {record.name} by {record.action}: {left}.")
        if action:
            if not self._pretend:
                bring_back(self._engine, record, action)
            self._note("container", record.id, record.name, action)

    def _run_after(self, container: str, name: str, command: list[str]) -> None:
        try:
            running = self._engine.inspect(container)["State"]["Running"]
        except NotFoundError:
            running = False
        if not running:
            self._warn(
                f"{self._why} before it ran {shlex.join(command)} in the container {name}, which does not run now."
            )
            return
        if not self._pretend:
            status, said = self._engine.run_in(container, command)
            if status:
                self._warn(
                    f"{self._why} before it ran {shlex.join(command)} in the container {name}, which has now ended with "
                    f"{status}: {said.strip()[-500:]}"
                )
        self._note("container", container, name, f"run {shlex.join(command)}")

    def _sweep(self, store: str = "", subject: Sequence[str] = (), beside_path: str = "") -> None:
        if self._pretend:
            return
        with suppress(StewardError, OSError):
            # What cannot be reached now is swept by the next run that works there.
            swept = Store.open(store).sweep(Subject(*subject)) if store else beside.sweep(beside_path)
            for name in swept:
                self._note("file", name, name, "clear away")

    def _remove_unfilled(self, name: str, created_at: str) -> None:
        """Remove a volume that the run had made and not filled, unless anybody has used it since."""
        volume = self._engine.volume(name)
        if volume is None or (created_at and volume.created_at != created_at):
            return
        used = [use for use in self._engine.containers() if any(mount.volume == name for mount in use.mounts)]
        if used or not _empty(volume.mountpoint):
            self._warn(
                f"{self._why} when it had made the volume {name} and not yet filled it. It is in use or not empty: look "
                "whether it holds what it should."
            )
            return
        if not self._pretend:
            self._engine.remove_volume(name)
        self._note("volume", name, name, "remove, as it was never filled")


def container_lock(engine: Engine, identifier: str) -> tuple[str, ...]:
    """Return what names a container for its lock: only one run at a time holds it still."""
    return (engine.facts.id, "container", identifier)


def bring_back(engine: Engine, record: Record, action: str) -> None:
    """Carry out what put_back() said."""
    if action == "unpause":
        engine.unpause(record.id)
    elif action == "start":
        engine.start(record.id)


def _empty(mountpoint: str) -> bool:
    """Return whether a directory of this host is there and has nothing in it."""
    try:
        return not os.listdir(mountpoint)
    except OSError:
        return False


def leave_word(path: Path, engine: Engine, recovered: Recovered) -> None:
    """Leave what a watchdog did for the next run to tell."""
    if recovered.actions or recovered.warnings:
        told = {
            "engine": engine.facts.id,
            "actions": [list(action) for action in recovered.actions],
            "warnings": recovered.warnings,
        }
        write_private(path.with_suffix(_TOLD), json.dumps(told).encode())


def _tell(engine: Engine, path: Path, recovered: Recovered, *, pretend: bool) -> None:
    """Take over what a watchdog has left to be told."""
    try:
        told = json.loads(path.read_bytes())
        actions = [Action(*action) for action in told["actions"]]
        warnings = [str(warning) for warning in told["warnings"]]
        if told["engine"] != engine.facts.id:
            return
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError):
        actions, warnings = [], [f"What a watchdog had left in {path} to be told is damaged."]
    done = [f"{action.action} {action.kind} {action.name}" for action in actions]
    if done:
        recovered.warnings.append(f"Since {actions[0].reason}, its watchdog did at once: {', '.join(done)}.")
    recovered.warnings += warnings
    if not pretend:
        path.unlink(missing_ok=True)
