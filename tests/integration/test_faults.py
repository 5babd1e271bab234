# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is killed, without a word, at an exact step: nothing is lost, and the next run leaves all as it should be.

A sample of the steps is in the ordinary tests; `./dev soak` has all that are named here, and then every step there is.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from promises import HOST, World

from lab.faults import DirectRun, NotHitError, Step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Slate

_AIMS = 3
KEEP = {"keep": {"last": 2}}


class Job(NamedTuple):
    """A run that is killed: what leads up to it, its options, and what has to hold afterwards."""

    module: str
    options: dict[str, Any]
    prepare: Callable[[World], dict[str, str]]
    check: Callable[[World, dict[str, str]], None]


def _changed(world: World) -> dict[str, str]:
    return {"data": world.write()}


def _backup_holds(options: dict[str, Any]) -> Callable[[World, dict[str, str]], None]:
    def check(world: World, known: dict[str, str]) -> None:
        assert world.digest() == known["data"]
        world.assert_backups_whole()
        world.backup(**options)
        world.assert_containers_as_before()
        assert world.digest() == known["data"]
        world.assert_nothing_left()
        world.assert_newest_is(known["data"])
        world.assert_walk_is_true()

    return check


def _newer_than_its_backup(world: World) -> dict[str, str]:
    kept = world.write()
    world.backup(**KEEP)
    return {"kept": kept, "data": world.write()}


def _restore_holds(world: World, known: dict[str, str]) -> None:
    assert world.digest() in (known["data"], known["kept"]), "a mixture"
    world.assert_backups_whole()
    world.restore()
    world.assert_containers_as_before()
    assert world.digest() == known["kept"]
    # What the restore replaced is there, whole: whether it was replaced by the killed run or by the next one.
    world.assert_nothing_left(previous=1)
    assert world.previous() == [known["data"]]
    world.assert_walk_is_true()


def _restored(world: World) -> dict[str, str]:
    known = _newer_than_its_backup(world)
    world.restore()
    return known


def _undo_holds(world: World, known: dict[str, str]) -> None:
    assert world.digest() in (known["data"], known["kept"]), "a mixture"
    world.assert_backups_whole()
    # Asked for again, it is not done twice.
    world.restore(undo=True)
    world.assert_containers_as_before()
    assert world.digest() == known["data"]
    world.assert_nothing_left()


def _restored_before(world: World) -> dict[str, str]:
    _restored(world)
    return _newer_than_its_backup(world)


def _gone(world: World) -> dict[str, str]:
    kept = world.write()
    world.backup(**KEEP)
    world.lose()
    return {"kept": kept}


def _comes_back(world: World, known: dict[str, str]) -> None:
    world.assert_backups_whole()
    world.restore()
    assert world.digest() == known["kept"]
    assert world.slate.client.volumes.get("data").attrs["Labels"]["kept"] == "yes"
    world.assert_walk_is_true()


_PAUSE = {**KEEP, "quiesce": "pause"}
_STOP = {**KEEP, "quiesce": "stop"}
JOBS = {
    "pause": Job("volume_backup", {"volumes": ["data"], **_PAUSE}, _changed, _backup_holds(_PAUSE)),
    "stop": Job("volume_backup", {"volumes": ["data"], **_STOP}, _changed, _backup_holds(_STOP)),
    "restore": Job("volume_restore", {"volume": "data"}, _newer_than_its_backup, _restore_holds),
    "again": Job("volume_restore", {"volume": "data"}, _restored_before, _restore_holds),
    "undo": Job("volume_restore", {"volume": "data", "undo": True}, _restored, _undo_holds),
    "missing": Job("volume_restore", {"volume": "data"}, _gone, _comes_back),
}
# Which step: the system call, what strace shows of it, and which of those that look so.
_BACKUP = {
    "before the lock": ("flock", r"/locks/", 0),
    "before the tree is walked": ("syncfs", r"_data", 0),
    "before the second is read": ("vfork", r"", -1),
    "before the walk is saved": ("write", r"/walks/", 0),
    "in the middle of the archive": ("write", r"pipe:", 4),
    "at the end of the archive": ("write", r"pipe:", -1),
    "before the archive is on the disk": ("fsync", r"\.tar\.zst", 0),
    "before the index is on the disk": ("fsync", r"\.index\.zst", 0),
    "before the manifest is on the disk": ("fsync", r"\.json", 0),
    "before the archive has its name": ("rename", r"\.tar\.zst", 0),
    "before the index has its name": ("rename", r"\.index\.zst", 0),
    "before the manifest has its name": ("rename", r"/volumes/data/.*\.json", 0),
    "before the saved walk has its name": ("rename", r"\.walk", 0),
    "in the middle of pruning": ("unlink", r"/volumes/data/.*Z[-\d]*\.index\.zst", 0),
    "before pruning ends": ("unlink", r"/volumes/data/.*Z[-\d]*\.tar\.zst", 0),
    "before it says how it went": ("write", r"^write\(1<", 0),
}
_RESTORE = {
    "before a helper": ("sendto", r"POST .*/images/create", 0),
    "before a helper has its image": ("sendto", r"POST .*/containers/create", 0),
    "before a helper goes": ("sendto", r"DELETE .*/containers/", 0),
    "before a helper's image goes": ("sendto", r"DELETE .*/images/", 0),
    "before staging": ("mkdir", r"steward-staging", 0),
    "in the middle of staging": ("mkdir", r"/tree\"", 0),
    "before it is noted what is staged": ("rename", r"note\.json", 0),
    "in the middle of extracting": ("write", r"pipe:", 4),
    "before the staged tree is on the disk": ("syncfs", r"/tree>", 0),
    "in the middle of trying the exchange": ("rmdir", r"/one\"", 0),
    "before the first is stopped": ("sendto", r"POST .*/stop", 0),
    "before the second is stopped": ("sendto", r"POST .*/stop", 1),
    "before the exchange": ("renameat2", r"/tree\".*_data\"", -1),
    "after the exchange": ("syncfs", r"/volumes/data>", -1),
    "before the first is started": ("sendto", r"POST .*/start", 0),
    "before the last is started": ("sendto", r"POST .*/start", -1),
    "before the saved walk has its name": ("rename", r"\.walk", 0),
    "before it is noted what was replaced": ("rename", r"note\.json", -1),
    "before what was replaced is kept": ("rename", r"steward-previous", 0),
    "before it says how it went": ("write", r"^write\(1<", 0),
}
_AGAIN = {
    "before the earlier one is set aside": ("rename", r"steward-removed", 0),
    "before the earlier one goes": ("unlinkat", r"", 0),
    "in the middle of its going": ("unlinkat", r"", 9),
    "at the end of its going": ("rmdir", r"", -1),
}
_UNDO = {
    "before the first is stopped": ("sendto", r"POST .*/stop", 0),
    "before the exchange": ("renameat2", r"/tree\".*_data\"", 0),
    "after the exchange": ("syncfs", r"/volumes/data>", -1),
    "before the first is started": ("sendto", r"POST .*/start", 0),
    "before what was undone is set aside": ("rename", r"steward-removed", 0),
    "before what was undone goes": ("unlinkat", r"", 0),
    "in the middle of its going": ("unlinkat", r"", 9),
    "at the end of its going": ("rmdir", r"", -1),
    "before it says how it went": ("write", r"^write\(1<", 0),
}
_HOLDING = {
    mode: {
        "before the journal is there": ("rename", r"\.journal", 0),
        "before the first hold is written down": ("write", r"\.journal.*hold", 0),
        "before the first is held": ("sendto", rf"POST .*/{act}", 0),
        "before the second is held": ("sendto", rf"POST .*/{act}", 1),
        "before the first is put back": ("sendto", rf"POST .*/{back}", 0),
        "before the second is put back": ("sendto", rf"POST .*/{back}", 1),
    }
    for mode, act, back in (("pause", "pause", "unpause"), ("stop", "stop", "start"))
}
_MISSING = {
    "before the volume is made": ("sendto", r"POST .*/volumes/create", 0),
    "before staging": ("mkdir", r"steward-staging", 0),
    "before the exchange": ("renameat2", r"/tree\".*_data\"", -1),
    "after the exchange": ("syncfs", r"/volumes/data>", -1),
}
POINTS: dict[str, dict[str, tuple[str, str, int]]] = {
    "pause": {**_BACKUP, **_HOLDING["pause"]},
    "stop": {**_BACKUP, **_HOLDING["stop"]},
    "restore": _RESTORE,
    "again": _AGAIN,
    "undo": _UNDO,
    "missing": _MISSING,
}
SAMPLE = {
    ("pause", "in the middle of the archive"),
    ("pause", "before the manifest has its name"),
    ("stop", "before the second is held"),
    ("stop", "in the middle of pruning"),
    ("restore", "before the exchange"),
    ("undo", "in the middle of its going"),
}


# How many of the steps that follow each other and look alike are tried.
_ALIKE = 2
# The steps of each job, as they are when nothing happens to it. They are the same in every world.
_RECORDED: dict[str, list[Step]] = {}


@pytest.fixture
def fresh(slate: Slate, tmp_path: Path) -> Callable[[], World]:
    """Return what makes a world in which there have been backups, so that there is something to prune."""
    numbers = itertools.count(1)

    def make() -> World:
        scratch = tmp_path / f"world{next(numbers)}"
        scratch.mkdir()
        store = scratch / "store"
        world = World(slate, DirectRun(slate.engine.url, scratch, store=str(store), host=HOST), store)
        for _turn in range(2):
            world.write()
            world.backup(**KEEP)
        return world

    return make


def _steps(name: str, fresh: Callable[[], World]) -> list[Step]:
    job = JOBS[name]
    if name not in _RECORDED:
        world = fresh()
        job.prepare(world)
        _RECORDED[name] = world.run.record(job.module, job.options)
        if world.running:
            world.lose()
        else:
            world.slate.client.volumes.get("data").remove()
    return _RECORDED[name]


def _find(steps: list[Step], point: tuple[str, str, int]) -> Step:
    call, pattern, which = point
    alike = [step for step in steps if step.call == call and re.search(pattern, step.line)]
    assert alike, f"no {call} looks like {pattern}"
    return alike[which]


def _points() -> list[Any]:
    return [
        pytest.param(job, point, marks=() if (job, point) in SAMPLE else pytest.mark.soak, id=f"{job}, {point}")
        for job, points in POINTS.items()
        for point in points
    ]


def _kill(world: World, job: Job, step: Step) -> str:
    """Kill the job at a step and look whether all holds; return how the step looked."""
    known = job.prepare(world)
    world.assert_containers_as_before()
    line = world.run.kill(job.module, job.options, step)
    # It was held by nobody yet, or its watchdog puts it back.
    world.wait_until_back()
    job.check(world, known)
    return line


@pytest.mark.parametrize(("name", "point"), _points())
def test_a_run_that_is_killed(name: str, point: str, fresh: Callable[[], World]) -> None:
    aimed = POINTS[name][point]
    for aim in itertools.count(1):
        step = _find(_steps(name, fresh), aimed)
        world = fresh()
        try:
            line = _kill(world, JOBS[name], step)
        except NotHitError:
            assert aim < _AIMS, f"{step} was never hit"
            _RECORDED.pop(name)
            world.lose()
            continue
        break
    assert re.search(aimed[1], line), f"killed at another step: {line}"


def _kind(step: Step) -> str:
    """Return what a step looks like, whatever the numbers, names and content in it are."""
    verb = re.search(r"(GET|POST|DELETE) /v[\d.]+/\w+", step.line)
    return f"{step.call} {verb.group() if verb else ''}"


@pytest.mark.soak
@pytest.mark.parametrize("name", ["pause", "restore"])
def test_a_run_that_is_killed_at_every_step(name: str, fresh: Callable[[], World]) -> None:
    steps: list[Step] = []
    for _kind_of_step, alike in itertools.groupby(_steps(name, fresh), key=_kind):
        steps += list(alike)[:_ALIKE]
    world = fresh()
    hit = 0
    for step in steps:
        try:
            _kill(world, JOBS[name], step)
            hit += 1
        except NotHitError:
            # What an engine is asked while it is waited for differs from run to run.
            continue
    print(f"{name}: killed at {hit} of {len(steps)} steps")
    assert hit > len(steps) * 0.9
