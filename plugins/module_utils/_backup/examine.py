# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a target has to be backed up: decided before anything is held still."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup import saved_walk
from ansible_collections.steward.docker.plugins.module_utils._backup.archive import members_of
from ansible_collections.steward.docker.plugins.module_utils._backup.disk import syncfs
from ansible_collections.steward.docker.plugins.module_utils._backup.exclude import Excludes
from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import parse_time
from ansible_collections.steward.docker.plugins.module_utils._backup.saved_walk import SavedWalk
from ansible_collections.steward.docker.plugins.module_utils._backup.settle import (
    differences_of_stream,
    differences_of_tree,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.tree import Walk
from ansible_collections.steward.docker.plugins.module_utils._durations import spoken

if TYPE_CHECKING:
    from datetime import datetime

    from ansible_collections.steward.docker.plugins.module_utils._backup.compare import Differences
    from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import Manifest
    from ansible_collections.steward.docker.plugins.module_utils._backup.store import Backup, Store
    from ansible_collections.steward.docker.plugins.module_utils._backup.targets import Target
    from ansible_collections.steward.docker.plugins.module_utils._engine import Engine


class Wishes(NamedTuple):
    """The options that decide whether a backup is made."""

    force: bool
    refresh_after: Optional[int]
    exclude_paths: list[str]


class Verdict(NamedTuple):
    """Whether a backup is needed and why, what differs, and the bytes it is about."""

    needed: bool
    reason: str
    differences: Optional[Differences] = None
    size: int = 0
    # How many entries only digests could settle.
    settled: int = 0


def _without_looking(newest: Optional[Manifest], wishes: Wishes, moment: datetime) -> str:
    """Return why a backup is needed whatever the content is, or ""."""
    if newest is None:
        return "there is no backup yet"
    if wishes.force:
        return "asked for by force"
    if newest.exclude_paths != wishes.exclude_paths:
        return "exclude_paths has changed"
    age = (moment - parse_time(newest.created_at)).total_seconds()
    if wishes.refresh_after is not None and age > wishes.refresh_after:
        return f"the newest backup is {spoken(age)} old"
    return ""


def examine(
    engine: Engine,
    store: Store,
    target: Target,
    newest: Optional[Backup],
    wishes: Wishes,
    moment: datetime,
    *,
    in_full: bool,
) -> Verdict:
    """Return whether the target has to be backed up, comparing it with its newest whole backup.

    Where that is clear without looking, it is looked at only `in_full`, for a person who wants to see what and how much.
    """
    manifest = newest.manifest if newest else None
    reason = _without_looking(manifest, wishes, moment)
    road = "path" if target.road.path else "engine"
    if not reason and manifest is not None and manifest.road != road:
        reason = f"the newest backup was read by another road ({manifest.road})"
    if reason and not in_full:
        return Verdict(True, reason)
    if not target.road.path:
        if newest is None:
            return Verdict(True, reason)
        differences = _differences_by_engine(engine, target, newest, wishes)
        return Verdict(bool(reason or differences), reason or str(differences), differences)
    syncfs(target.road.path)
    walk = Walk(target.road.path, Excludes(wishes.exclude_paths))
    if manifest is None or newest is None:
        for _entry in walk:
            pass
        return Verdict(True, reason, None, walk.size)
    saved = saved_walk.load(target.walk_key(engine, store.id), manifest.id)
    differences, settled = differences_of_tree(walk.root, walk, saved, str(newest.index_path))
    return Verdict(bool(reason or differences), reason or str(differences), differences, walk.size, settled)


def save_walk_again(engine: Engine, store: Store, target: Target, newest: Backup, wishes: Wishes) -> None:
    """Save the walk of an unchanged tree anew, which spares the next run the digests that this one needed.

    The walk that is saved is itself compared: what changes meanwhile is not taken for unchanged later.
    """
    if newest.manifest is None or not target.road.path:
        return
    key = target.walk_key(engine, store.id)
    again = SavedWalk(key, newest.manifest.id, time.time_ns())
    try:
        syncfs(target.road.path)
        walk = Walk(target.road.path, Excludes(wishes.exclude_paths))
        saved = saved_walk.load(key, newest.manifest.id)
        differences, _settled = differences_of_tree(walk.root, again.passing(walk), saved, str(newest.index_path))
        if not differences:
            again.keep()
    finally:
        again.drop()


def _differences_by_engine(engine: Engine, target: Target, newest: Backup, wishes: Wishes) -> Differences:
    exclude = Excludes(wishes.exclude_paths)
    with engine.helper(**target.handle()) as helper:
        members = members_of(engine.read_tree(helper))
        return differences_of_stream(
            (entry for entry in members if not exclude.match(entry.path)), str(newest.index_path)
        )
