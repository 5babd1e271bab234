# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which backups are kept: pure, out of the backups and the wishes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import Manifest, parse_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

DEFAULT_KEEP = {"last": 7, "weekly": 4}
_MEASURES: dict[str, Callable[[Manifest], int]] = {
    "files": lambda manifest: manifest.files,
    "bytes": lambda manifest: manifest.size,
}
# Below this part of the largest kept backup, a new one is taken for a mishap rather than for a clean-up.
_SHRUNK = 0.5

_PERIODS: dict[str, Callable[[datetime], tuple[int, ...]]] = {
    "hourly": lambda time: (time.year, time.month, time.day, time.hour),
    "daily": lambda time: (time.year, time.month, time.day),
    "weekly": lambda time: tuple(time.isocalendar())[:2],
    "monthly": lambda time: (time.year, time.month),
    "yearly": lambda time: (time.year,),
}


class Retention(NamedTuple):
    """Which backups stay, with the reasons, which go, and why none goes although some would."""

    keep: dict[str, list[str]]
    prune: list[str]
    held_back: str


def _reasons(newest_first: Sequence[Manifest], wishes: Mapping[str, int]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {manifest.id: [] for manifest in newest_first}
    for manifest in newest_first[: wishes.get("last") or 0]:
        found[manifest.id].append("last")
    for unit, period in _PERIODS.items():
        seen: set[tuple[int, ...]] = set()
        for manifest in newest_first:
            bucket = period(parse_time(manifest.created_at))
            if bucket not in seen and len(seen) < (wishes.get(unit) or 0):
                seen.add(bucket)
                found[manifest.id].append(unit)
    if newest_first and not found[newest_first[0].id]:
        found[newest_first[0].id].append("newest")
    return found


def _shrink(newest_first: Sequence[Manifest], accept_shrink: str) -> str:
    """Return how the newest is suspiciously small beside those since the last accepted shrinking, or ""."""
    newest, since = newest_first[0], []
    for manifest in newest_first:
        since.append(manifest)
        if manifest.shrink_accepted or manifest.id == accept_shrink:
            break
    for what, value in _MEASURES.items():
        largest = max(since, key=value)
        if value(newest) < _SHRUNK * value(largest):
            return (
                f"The backup {newest.id} has {value(newest)} {what}, less than half of the {value(largest)} of "
                f"{largest.id}: no old backup is removed. If that is meant, set accept_shrink: {newest.id}"
            )
    return ""


def plan_retention(whole: Sequence[Manifest], keep: Optional[Mapping[str, int]], accept_shrink: str = "") -> Retention:
    """Return what retention would do with the whole backups of one subject.

    The newest by sequence always stays. A wish of only zeros is taken for none, and the default is kept.
    """
    newest_first = sorted(whole, key=lambda manifest: manifest.sequence, reverse=True)
    wishes = {unit: count for unit, count in (keep or {}).items() if count} or DEFAULT_KEEP
    reasons = _reasons(newest_first, wishes)
    prune = [manifest.id for manifest in reversed(newest_first) if not reasons[manifest.id]]
    kept = {identifier: why for identifier, why in reasons.items() if why}
    held_back = _shrink(newest_first, accept_shrink) if newest_first else ""
    return Retention(kept, [] if held_back else prune, held_back)
