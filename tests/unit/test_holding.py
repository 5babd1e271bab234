# SPDX-License-Identifier: GPL-3.0-or-later
"""Which containers are held and how, and what brings one back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from builders import compose, container

from ansible_collections.steward.docker.plugins.module_utils._backup.holding import (
    Hold,
    Record,
    as_held,
    mode_of,
    moment,
    plan_holds,
    put_back,
    refuse_stop,
)
from ansible_collections.steward.docker.plugins.module_utils._engine import Container
from ansible_collections.steward.docker.plugins.module_utils._errors import RefusedError

_BEGAN, _LATER = "2026-01-01T10:00:00.123456789Z", "2026-01-01T12:00:00Z"
_NOTED, _ENDED = "2026-01-01T11:00:00.5Z", "2026-01-01T11:00:03.25Z"


def _state(status: str, began: str = _BEGAN, ended: str = "0001-01-01T00:00:00Z") -> dict[str, Any]:
    return {
        "Running": status in ("running", "paused", "restarting"),
        "Paused": status == "paused",
        "StartedAt": began,
        "FinishedAt": ended,
    }


_PAUSED = Record("id-a", "a", "pause", _BEGAN, _NOTED, 10)
_STOPPING = Record("id-a", "a", "stop", _BEGAN, _NOTED, 10)
_STOPPED = _STOPPING._replace(finished_at=_ENDED)
_BACK = {
    "paused, as it was left": (_PAUSED, _state("paused"), "unpause", ""),
    "paused, and let go since": (_PAUSED, _state("running"), "", ""),
    "to be paused, which was not done": (_PAUSED, _state("running"), "", ""),
    "paused, and restarted since": (_PAUSED, _state("running", _LATER), "", ""),
    "paused, restarted, and paused by somebody": (_PAUSED, _state("paused", _LATER), "", ""),
    "paused, and stopped since": (_PAUSED, _state("exited", ended=_LATER), "", "it has ended since"),
    "stopped, as it was left": (_STOPPED, _state("exited", ended=_ENDED), "start", ""),
    "stopped, and started since": (_STOPPED, _state("running", _LATER), "", ""),
    "stopped, started and stopped since": (
        _STOPPED,
        _state("exited", _LATER, _LATER),
        "",
        "it was started and ended again since",
    ),
    "to be stopped, which was not done": (_STOPPING, _state("running"), "", ""),
    "to be stopped, and nobody saw it end": (_STOPPING, _state("exited", ended=_ENDED), "start", ""),
    "to be stopped, killed after its grace": (
        _STOPPING,
        _state("exited", ended="2026-01-01T11:00:12Z"),
        "start",
        "",
    ),
    "to be stopped, and stopped much later": (
        _STOPPING,
        _state("exited", ended=_LATER),
        "",
        "somebody stopped it since",
    ),
    "stopped, with another end than the one seen": (
        _STOPPED,
        _state("exited", ended=_LATER),
        "",
        "somebody stopped it since",
    ),
}


@pytest.mark.parametrize(("record", "state", "action", "left"), _BACK.values(), ids=_BACK.keys())
def test_a_container_comes_back_only_while_it_is_as_it_was_held(
    record: Record, state: dict[str, Any], action: str, left: str
) -> None:
    assert put_back(record, state) == (action, left)


_AS_HELD = {
    "paused": (_PAUSED, _state("paused"), True),
    "let go": (_PAUSED, _state("running"), False),
    "paused again after a restart": (_PAUSED, _state("paused", _LATER), False),
    "stopped": (_STOPPED, _state("exited", ended=_ENDED), True),
    "started": (_STOPPED, _state("running", _LATER), False),
    "started and stopped": (_STOPPED, _state("exited", _LATER, _LATER), False),
}


@pytest.mark.parametrize(("record", "state", "held"), _AS_HELD.values(), ids=_AS_HELD.keys())
def test_whether_a_container_is_still_as_it_was_held(record: Record, state: dict[str, Any], held: bool) -> None:
    assert as_held(record, state) is held


_MOMENTS = {
    "2026-01-01T10:00:00Z": datetime(2026, 1, 1, 10, tzinfo=UTC),
    "2026-01-01T10:00:00.123456789Z": datetime(2026, 1, 1, 10, 0, 0, 123456, tzinfo=UTC),
    "2026-01-01T10:00:00.5+02:00": datetime(2026, 1, 1, 8, 0, 0, 500000, tzinfo=UTC),
    "2026-01-01T10:00:00.5-02:30": datetime(2026, 1, 1, 12, 30, 0, 500000, tzinfo=UTC),
    "0001-01-01T00:00:00Z": datetime(1, 1, 1, tzinfo=UTC),
}


@pytest.mark.parametrize(("text", "expected"), _MOMENTS.items())
def test_times_are_read_as_the_engine_writes_them(text: str, expected: datetime) -> None:
    assert moment(text) == expected


def _labelled(name: str, value: str) -> Container:
    return container(name, labels={"steward.quiesce": value})


@pytest.mark.parametrize("value", ["pause", "stop", "none"])
def test_a_label_goes_before_the_option(value: str) -> None:
    assert mode_of(_labelled("a", value), "pause") == value
    assert mode_of(container("a"), value) == value


def test_a_label_that_is_no_way_to_hold_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"steward\.quiesce of the container a is 'freeze'"):
        mode_of(_labelled("a", "freeze"), "pause")


def _held(holds: list[Hold]) -> list[tuple[str, str]]:
    return [(hold.container.name, hold.action) for hold in holds]


_DB, _WEB = container("db", labels=compose("shop", "db")), container("web", labels=compose("shop", "web", "db"))
_INSIDE = container("sidecar", network_mode="container:db")
_LINKED = Container("id-cache", "cache", "image", "running", {}, (), "bridge", linked_by=("front",))
_PLANS = {
    "one that is paused takes nobody with it": ([_DB], [_DB, _WEB], {"id-db": "pause"}, [("db", "pause")]),
    "what needs one that is stopped": (
        [_DB],
        [_DB, _WEB, _INSIDE],
        {"id-db": "stop"},
        [("db", "stop"), ("sidecar", "stop"), ("web", "stop")],
    ),
    "what has a link to it": (
        [_LINKED],
        [_LINKED, container("front"), container("back")],
        {"id-cache": "stop"},
        [("cache", "stop"), ("front", "stop")],
    ),
    "a chain": (
        [_DB],
        [_DB, _WEB, container("log", network_mode="container:web")],
        {"id-db": "stop"},
        [("db", "stop"), ("web", "stop"), ("log", "stop")],
    ),
    "what needs it and does not run": (
        [_DB],
        [_DB, container("web", labels=compose("shop", "web", "db"), state="exited")],
        {"id-db": "stop"},
        [("db", "stop")],
    ),
    "what needs it and is to be left alone": (
        [_DB],
        [_DB, _WEB._replace(labels={**_WEB.labels, "steward.quiesce": "none"})],
        {"id-db": "stop"},
        [("db", "stop")],
    ),
    "a writer that would be paused and needs one that is stopped": (
        [_DB, _WEB],
        [_DB, _WEB],
        {"id-db": "stop", "id-web": "pause"},
        [("db", "stop"), ("web", "stop")],
    ),
    "one that is not to be held": ([_DB], [_DB, _WEB], {"id-db": "none"}, []),
}


@pytest.mark.parametrize(("users", "everyone", "how", "expected"), _PLANS.values(), ids=_PLANS.keys())
def test_who_is_held(
    users: list[Container], everyone: list[Container], how: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    assert _held(plan_holds(users, everyone, how, "it writes")) == expected


@pytest.mark.parametrize(
    ("labels", "config", "words"),
    [
        ({}, {"AutoRemove": True}, "--rm"),
        ({"com.docker.swarm.task.id": "t"}, {}, "swarm task"),
    ],
)
def test_what_the_engine_would_not_keep_is_not_stopped(
    labels: dict[str, str], config: dict[str, Any], words: str
) -> None:
    with pytest.raises(RefusedError, match=words):
        refuse_stop(container("a", labels=labels), {"HostConfig": config}, "Pause it")
    refuse_stop(container("a"), {"HostConfig": {"AutoRemove": False}}, "Pause it")
