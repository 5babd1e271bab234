# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backups are kept."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from builders import manifest

from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import Manifest, format_time
from ansible_collections.steward.docker.plugins.module_utils._backup.retention import DEFAULT_KEEP, plan_retention

# A Monday, the first day of a month.
_START = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def _at(*offsets: float) -> list[Manifest]:
    """Return backups b1, b2, ... made so many days after the start."""
    times = [format_time(_START + timedelta(days=offset)) for offset in offsets]
    return [manifest(f"b{number}", number, created_at=time) for number, time in enumerate(times, 1)]


def _sized(*sizes: tuple[int, int]) -> list[Manifest]:
    """Return backups b1, b2, ... a day apart with so many files and bytes."""
    backups = _at(*range(len(sizes)))
    for backup, (files, size) in zip(backups, sizes, strict=True):
        backup.files, backup.size = files, size
    return backups


def _kept(backups: list[Manifest], keep: dict[str, int] | None) -> list[int]:
    return sorted(int(identifier[1:]) for identifier in plan_retention(backups, keep).keep)


_DAYS = _at(*range(40))
_WISHES = {
    "the last one": (_DAYS, {"last": 1}, [40]),
    "the last three": (_DAYS, {"last": 3}, [38, 39, 40]),
    "more than there are": (_DAYS[:3], {"last": 9}, [1, 2, 3]),
    "daily": (_DAYS, {"daily": 2}, [39, 40]),
    "daily, of each day the newest": (_at(0, 0.1, 1, 1.1, 1.2), {"daily": 2}, [2, 5]),
    "daily counts days that have one": (_at(0, 5, 20), {"daily": 2}, [2, 3]),
    "daily, around midnight": (_at(0.49, 0.51), {"daily": 2}, [1, 2]),
    "hourly, of each hour the newest": (_at(0, 0.01, 1 / 24, 1.5 / 24), {"hourly": 9}, [2, 4]),
    "hourly, the same hour of two days": (_at(0, 1), {"hourly": 2}, [1, 2]),
    # Days 35 to 39 are the sixth week, of which the fifth day is the newest.
    "weekly": (_DAYS, {"weekly": 3}, [28, 35, 40]),
    "weekly, Sunday and Monday": (_at(6, 7), {"weekly": 2}, [1, 2]),
    # The last days of 2026 and the first of 2027 are one week.
    "weekly, over the end of a year": (_at(211, 215), {"weekly": 2}, [2]),
    "monthly": (_DAYS, {"monthly": 5}, [30, 40]),
    "monthly, the same month of two years": (_at(0, 365), {"monthly": 2}, [1, 2]),
    "yearly": (_at(0, 100, 300, 400, 700), {"yearly": 2}, [4, 5]),
    "several wishes add up": (_DAYS, {"last": 2, "weekly": 2, "monthly": 2}, [30, 35, 39, 40]),
    "a wish of zero is none": (_DAYS, {"last": 1, "daily": 0}, [40]),
    "only zeros are the default": (_DAYS, {"last": 0, "weekly": 0}, [21, 28, *range(34, 41)]),
    "no wishes are the default": (_DAYS, {}, [21, 28, *range(34, 41)]),
    "nothing given is the default": (_DAYS, None, [21, 28, *range(34, 41)]),
    "no backups": ([], {"last": 1}, []),
}


@pytest.mark.parametrize(("backups", "keep", "kept"), _WISHES.values(), ids=_WISHES.keys())
def test_what_is_wished_for_is_kept(backups: list[Manifest], keep: dict[str, int] | None, kept: list[int]) -> None:
    assert _kept(backups, keep) == kept


@pytest.mark.parametrize(("backups", "keep", "kept"), _WISHES.values(), ids=_WISHES.keys())
def test_what_is_not_kept_goes_the_oldest_first(
    backups: list[Manifest], keep: dict[str, int] | None, kept: list[int]
) -> None:
    plan = plan_retention(backups, keep)
    assert plan.prune == [backup.id for backup in backups if int(backup.id[1:]) not in kept]
    assert plan.held_back == ""


def test_the_default_is_the_documented_one() -> None:
    assert DEFAULT_KEEP == {"last": 7, "weekly": 4}


def test_each_kept_backup_says_why() -> None:
    assert plan_retention(_at(0, 0.1, 40), {"last": 1, "daily": 2, "monthly": 2}).keep == {
        "b2": ["daily", "monthly"],
        "b3": ["last", "daily", "monthly"],
    }


def test_the_order_in_which_backups_are_given_does_not_matter() -> None:
    shuffled = random.Random(1).sample(_DAYS, len(_DAYS))
    keep = {"last": 3, "daily": 5, "weekly": 3, "monthly": 2}
    assert plan_retention(shuffled, keep) == plan_retention(_DAYS, keep)


# b3 was made with a clock that had been set back by ten days.
_CLOCK_SET_BACK = _at(10, 11, 1)
_BACK = {
    "last counts by sequence": ({"last": 1}, ["b3"]),
    "last two": ({"last": 2}, ["b2", "b3"]),
    "daily begins with the newest by sequence": ({"daily": 1}, ["b3"]),
    "daily two": ({"daily": 2}, ["b2", "b3"]),
    "yearly": ({"yearly": 1}, ["b3"]),
}


@pytest.mark.parametrize(("keep", "kept"), _BACK.values(), ids=_BACK.keys())
def test_the_newest_is_so_by_sequence_when_the_clock_was_set_back(keep: dict[str, int], kept: list[str]) -> None:
    assert sorted(plan_retention(_CLOCK_SET_BACK, keep).keep) == kept


@pytest.mark.parametrize("seed", range(20))
def test_the_newest_is_never_pruned_and_nothing_is_lost_from_view(seed: int) -> None:
    chance = random.Random(seed)
    backups = _at(*(chance.uniform(0, 800) for _turn in range(chance.randint(1, 30))))
    units = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
    keep = {unit: chance.randint(0, 3) for unit in units}
    plan = plan_retention(backups, keep)
    assert backups[-1].id in plan.keep
    assert sorted([*plan.keep, *plan.prune]) == sorted(backup.id for backup in backups)


_LARGE = (100, 10_000)
_SHRUNK = {
    "as before": ([_LARGE, _LARGE], True),
    "grown": ([_LARGE, (1000, 100_000)], True),
    "half the files exactly": ([_LARGE, (50, 10_000)], True),
    "less than half the files": ([_LARGE, (49, 10_000)], False),
    "half the bytes exactly": ([_LARGE, (100, 5000)], True),
    "less than half the bytes": ([_LARGE, (100, 4999)], False),
    "empty": ([_LARGE, (0, 0)], False),
    "empty as always": ([(0, 0), (0, 0)], True),
    "little by little": ([_LARGE, (80, 8000), (60, 6000), (49, 4900)], False),
    "small in between, large again": ([_LARGE, (1, 1), _LARGE], True),
    "small twice": ([_LARGE, (1, 1), (1, 1)], False),
    "the only one": ([(1, 1)], True),
}


@pytest.mark.parametrize(("sizes", "goes"), _SHRUNK.values(), ids=_SHRUNK.keys())
def test_nothing_goes_while_the_newest_has_less_than_half(sizes: list[tuple[int, int]], goes: bool) -> None:
    plan = plan_retention(_sized(*sizes), {"last": 1})
    assert plan.prune == ([f"b{number}" for number in range(1, len(sizes))] if goes else [])
    assert (plan.held_back == "") == goes


def test_a_backup_that_is_held_back_says_what_to_set() -> None:
    held_back = plan_retention(_sized(_LARGE, (49, 10_000)), {"last": 1}).held_back
    assert held_back.startswith("The backup b2 has 49 files, less than half of the 100 of b1:")
    assert held_back.endswith("accept_shrink: b2")


@pytest.mark.parametrize(
    ("sizes", "accepted", "goes"),
    [
        pytest.param([_LARGE, (1, 1)], "b2", True, id="the newest is accepted"),
        pytest.param([_LARGE, (1, 1)], "b1", False, id="another one is accepted"),
        pytest.param([_LARGE, (1, 1)], "b9", False, id="one that is not there is accepted"),
        pytest.param([_LARGE, (10, 10), (9, 9)], "b2", True, id="an earlier one is accepted and the newest is like it"),
        pytest.param([_LARGE, (10, 10), (4, 4)], "b2", False, id="the newest has shrunk once more"),
        pytest.param([_LARGE, (10, 10), (90, 90), (9, 9)], "b2", False, id="it had grown meanwhile"),
    ],
)
@pytest.mark.parametrize("noted", [False, True], ids=["by the option", "by its manifest"])
def test_an_accepted_shrinking_is_the_new_measure(
    sizes: list[tuple[int, int]], accepted: str, goes: bool, noted: bool
) -> None:
    backups = _sized(*sizes)
    for backup in backups:
        backup.shrink_accepted = noted and backup.id == accepted
    plan = plan_retention(backups, {"last": 1}, "" if noted else accepted)
    assert bool(plan.prune) == goes
    assert bool(plan.held_back) != goes
