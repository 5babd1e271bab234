# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which containers are held, how, and what brings one back: pure, out of what the engine says."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.steward.docker.plugins.module_utils._errors import RefusedError
from ansible_collections.steward.docker.plugins.module_utils._order import dependants, starting_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible_collections.steward.docker.plugins.module_utils._engine import Container

PAUSE, STOP, NONE = "pause", "stop", "none"
OVERRIDE_LABEL = "steward.quiesce"
TASK_LABEL = "com.docker.swarm.task.id"
# What the engine waits for after the stop signal when the container does not say.
DEFAULT_GRACE = 10
# How much later than grace a stop that nobody saw the end of may have ended and still be ours.
_LATE = timedelta(seconds=30)


class Hold(NamedTuple):
    """A container that is to be held, how, and why."""

    container: Container
    action: str
    reason: str


class Record(NamedTuple):
    """What was written down of a container before it was held; times are the engine's."""

    id: str
    name: str
    action: str
    # When the container was started before it was held.
    started_at: str
    # When the hold was written down, and the seconds that a stop may take.
    noted_at: str
    grace: int
    # When it ended, once the stop was seen to be done; "" before.
    finished_at: str = ""


def mode_of(container: Container, mode: str) -> str:
    """Return how a container is held for a backup: as its label says, else as the option does."""
    wanted = container.labels.get(OVERRIDE_LABEL, mode)
    if wanted not in (PAUSE, STOP, NONE):
        raise RefusedError(
            f"The label {OVERRIDE_LABEL} of the container {container.name} is {wanted!r}. It can be pause, stop or none."
        )
    return wanted


def plan_holds(
    users: Iterable[Container], everyone: Iterable[Container], how: Mapping[str, str], why: str
) -> list[Hold]:
    """Return which containers are held, in the order of starting; they are held in the reverse one.

    `how` says by ID how each user of the data is held. Whatever needs a container that is stopped is stopped with it,
    unless its label says that it is to be left alone.
    """
    held = {user.id: Hold(user, how[user.id], why) for user in users if how[user.id] != NONE}
    stopped = [hold.container for hold in held.values() if hold.action == STOP]
    running = [
        container
        for container in everyone
        if container.state in ("running", "restarting") and container.labels.get(OVERRIDE_LABEL) != NONE
    ]
    names = " and ".join(container.name for container in stopped)
    for container in dependants(stopped, running):
        held[container.id] = Hold(container, STOP, f"it needs {names}")
    return [held[container.id] for container in starting_order(hold.container for hold in held.values())]


def refuse_stop(container: Container, details: Mapping[str, Any], instead: str) -> None:
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


def record_of(hold: Hold, details: Mapping[str, Any], now: str) -> Record:
    """Return what is written down before a container is held."""
    return Record(
        hold.container.id,
        hold.container.name,
        hold.action,
        details["State"]["StartedAt"],
        now,
        int(details["Config"].get("StopTimeout") or DEFAULT_GRACE),
    )


def as_held(record: Record, state: Mapping[str, Any]) -> bool:
    """Return whether a container still is as it was held."""
    if state["StartedAt"] != record.started_at:
        return False
    return bool(state["Paused"]) if record.action == PAUSE else not state["Running"]


def put_back(record: Record, state: Mapping[str, Any]) -> tuple[str, str]:
    """Return what brings a held container back (`unpause`, `start` or ""), and why it is left as it is.

    What somebody else has done to it since is respected: it is brought back only while it is as it was held.
    """
    if state["StartedAt"] != record.started_at:
        return "", "" if state["Running"] else "it was started and ended again since"
    if record.action == PAUSE:
        if state["Paused"]:
            return "unpause", ""
        return "", "" if state["Running"] else "it has ended since"
    if state["Running"]:
        return "", ""
    if record.finished_at:
        ours = state["FinishedAt"] == record.finished_at
    else:
        # Nobody saw the stop end, so the time has to tell it from a later one.
        latest = moment(record.noted_at) + timedelta(seconds=record.grace) + _LATE
        ours = moment(state["FinishedAt"]) <= latest
    return ("start", "") if ours else ("", "somebody stopped it since")


def moment(text: str) -> datetime:
    """Return a time as the engine writes it (RFC 3339 with up to nanoseconds) to the microsecond."""
    day, _t, rest = text.partition("T")
    cut = next((index for index, letter in enumerate(rest) if letter in "Z+-"), len(rest))
    clock, _dot, fraction = rest[:cut].partition(".")
    zone = rest[cut:].replace("Z", "+00:00") or "+00:00"
    return datetime.fromisoformat(f"{day}T{clock}.{fraction[:6]:0<6}{zone}")
