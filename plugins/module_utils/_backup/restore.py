# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job of volume_restore: observe, plan, apply, report."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup import beside, saved_walk
from ansible_collections.steward.docker.plugins.module_utils._backup.compare import Differences
from ansible_collections.steward.docker.plugins.module_utils._backup.consumers import overlookers, users
from ansible_collections.steward.docker.plugins.module_utils._backup.destination import (
    Destination,
    anonymous_volume,
    directory_destination,
    observe_uses,
    refuse_unfit,
    volume_destination,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.disk import syncfs
from ansible_collections.steward.docker.plugins.module_utils._backup.exclude import Excludes
from ansible_collections.steward.docker.plugins.module_utils._backup.journal import VOLUME
from ansible_collections.steward.docker.plugins.module_utils._backup.journaled import JournaledJob
from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import BINDS, VOLUMES, Subject
from ansible_collections.steward.docker.plugins.module_utils._backup.quiesce import Quiescence
from ansible_collections.steward.docker.plugins.module_utils._backup.refill import (
    Outcome,
    differences_by_engine,
    refuse_filled,
    refuse_too_little_space,
    restore_by_engine,
    restore_by_swap,
    result_of,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.roads import (
    LOST_BY_ENGINE_ROAD,
    observe_host,
    user_mapping,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.settle import differences_of_tree
from ansible_collections.steward.docker.plugins.module_utils._backup.source import (
    Source,
    find_backup,
    index_of,
    source_of_backup,
    source_of_path,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.store import Store
from ansible_collections.steward.docker.plugins.module_utils._backup.swap import (
    INSTEAD_OF_STOPPING,
    Swapper,
    holds_for,
    refuse_holds,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.tree import Walk
from ansible_collections.steward.docker.plugins.module_utils._durations import seconds_of
from ansible_collections.steward.docker.plugins.module_utils._errors import (
    NotFoundError,
    RefusedError,
    StewardError,
)
from ansible_collections.steward.docker.plugins.module_utils._job import Action, Difference, Report
from ansible_collections.steward.docker.plugins.module_utils._order import dependants

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.steward.docker.plugins.module_utils._backup.saved_walk import WalkKey

_SAME = "it already equals the backup"


class RestoreJob(JournaledJob):
    """Restores one volume or directory."""

    def __init__(self, params: Mapping[str, Any], *, check_mode: bool) -> None:
        """Take the module's parameters."""
        super().__init__(params, check_mode=check_mode)
        age = params["previous_max_age"]
        self._max_age = seconds_of(age, "previous_max_age") if age else None
        self._differences: Optional[Differences] = None
        self._reason = ""
        self._outcome: Optional[Outcome] = None

    def observe(self) -> None:
        """Find the backup and the destination, and what differs between them."""
        self._engine = self._connect("restore")
        self._host = observe_host(self._engine)
        self._containers = self._engine.containers()
        self._source = self._find_source()
        self._destination = self._find_destination()
        if not self._check_mode:
            observe_uses(self._destination, self._containers)
            using = users(self._destination.uses)
            self._lock_with_users(
                self._engine,
                {self._destination.lock_parts(self._engine): str(self._destination)},
                [*using, *dependants(using, self._containers)],
            )
            # The wait for a lock can be long.
            self._containers = self._engine.containers()
            self._destination = self._find_destination()
            self._sweep()
        observe_uses(self._destination, self._containers)
        self._holds = holds_for(self._destination, self._containers)
        self._reason = self._decide()
        if self._reason and self._reason != _SAME:
            self._refuse()

    def _find_source(self) -> Source:
        params = self._params
        wanted = params["backup"] or "latest"
        self._subject = Subject(
            params["host"] or self._engine.facts.name,
            VOLUMES if params["volume"] else BINDS,
            params["volume"] or params["path"],
        )
        self._store_id = ""
        if wanted.startswith("/"):
            source = source_of_path(wanted, params["strip_components"], params["subdir"] or "")
        elif params["strip_components"] or params["subdir"]:
            raise StewardError(
                "strip_components and subdir are for archives made elsewhere: set backup to the path of one."
            )
        else:
            store = Store.open(params["store"])
            self._store_id = store.id
            source = source_of_backup(find_backup(store, self._subject, wanted, params["at"]))
        manifest = source.manifest
        if manifest is not None:
            if manifest.group:
                self._warnings.append(
                    f"The backup {manifest.id} was made together with others (group {manifest.group}), whose data belongs "
                    "to the same moment. Consider restoring them too."
                )
            if not manifest.consistent:
                self._warnings.append(
                    f"Files changed while the backup {manifest.id} was made: it may not be consistent."
                )
            if manifest.user_mapping != user_mapping(self._engine.facts):
                raise RefusedError(
                    f"The backup {manifest.id} was made on an engine that maps users as {manifest.user_mapping or 'none'}; "
                    f"this one maps them as {user_mapping(self._engine.facts) or 'none'}, so every owner would be wrong."
                )
        return source

    def _find_destination(self) -> Destination:
        params = self._params
        to = params["to"]
        own = params["path"] or params["volume"]
        if not to and params["volume"] and "/" in own:
            own = anonymous_volume(own, self._containers)
        destination = self._destination_named(to or own, is_path=bool((to or own).startswith("/")))
        if to:
            self._refuse_same(destination, own)
        return destination

    def _destination_named(self, name: str, *, is_path: bool) -> Destination:
        if is_path:
            return directory_destination(os.path.normpath(name), self._host)
        return volume_destination(self._engine, name, self._host)

    def _refuse_same(self, destination: Destination, own: str) -> None:
        """Raise RefusedError when `to` is another name of the directory that the backup is of."""
        origin = own
        if "/" in own and not own.startswith("/"):
            return
        source = self._destination_named(origin, is_path=own.startswith("/"))
        same_inode = source.place.lineage and source.place.lineage[:1] == destination.place.lineage[:1]
        if same_inode or (source.kind, source.name) == (destination.kind, destination.name):
            raise RefusedError(f"{source} and {destination} are the same directory. Leave to out to restore in place.")

    def _walk_key(self) -> Optional[WalkKey]:
        """Return whose saved walk tells of the destination; None when the backup is not the destination's own."""
        manifest = self._source.manifest
        own = (
            (self._destination.kind, self._destination.name) == (self._subject.kind, self._subject.name)
            if not (manifest and manifest.anonymous)
            else not self._params["to"]
        )
        if not (own and manifest and self._store_id):
            return None
        return saved_walk.WalkKey(self._engine.facts.id, self._store_id, self._subject, self._destination.made_at)

    def _sweep(self) -> None:
        path = self._destination.road.path
        if path:
            swept = beside.sweep(path, self._max_age)
            self._warnings += [f"Cleared away what an earlier run had left: {name}" for name in swept]

    def _decide(self) -> str:
        """Return why the backup is restored, or _SAME, or "" when only_if says that it is not."""
        destination, only_if = self._destination, self._params["only_if"]
        if not destination.exists:
            return f"{destination} is missing"
        if only_if == "missing":
            return ""
        if only_if == "empty":
            return f"{destination} is empty" if self._is_empty() else ""
        self._differences = self._differ()
        return f"{self._differences}" if self._differences else _SAME

    def _is_empty(self) -> bool:
        path = self._destination.road.path
        if path:
            return not os.listdir(path)
        try:
            refuse_filled(self._engine, self._destination)
        except RefusedError:
            return False
        return True

    def _differ(self) -> Differences:
        source, path = self._source, self._destination.road.path
        if not path:
            return differences_by_engine(self._engine, source, self._destination)
        syncfs(path)
        manifest = source.manifest
        walk = Walk(path, Excludes(manifest.exclude_paths if manifest else ()))
        key = self._walk_key()
        saved = saved_walk.load(key, manifest.id) if key and manifest else None
        root = None if manifest else next(iter(Walk(path)))
        with index_of(source, root) as index:
            return differences_of_tree(path, walk, saved, index)[0]

    def _refuse(self) -> None:
        """Raise RefusedError, before anything is touched, when the restore could not be carried out safely."""
        destination = self._destination
        refuse_holds(self._engine, destination, self._holds)
        if destination.road.path:
            refuse_unfit(destination, self._engine, self._host)
            refuse_too_little_space(self._source, destination)
        elif destination.exists:
            refuse_filled(self._engine, destination)
        for container in overlookers(destination.uses):
            self._warnings.append(
                f"The container {container.name} mounts a directory that contains {destination} and is not stopped."
            )

    def plan(self) -> list[Action]:
        """Return the restore, and the containers that are stopped for it."""
        if not self._reason or self._reason == _SAME:
            return []
        destination, manifest = self._destination, self._source.manifest
        kind = "volume" if destination.kind == VOLUMES else "directory"
        name = destination.name
        actions: list[Action] = []
        if not destination.exists:
            actions.append(Action(kind, name, name, "create", self._reason))
        actions += [
            Action("container", hold.container.id, hold.container.name, "stop and start", hold.reason)
            for hold in self._holds
        ]
        reason = f"restore {self._source.id}: {self._reason}"
        actions.append(Action(kind, name, name, "restore", reason, manifest.size if manifest else 0))
        return actions

    def apply(self) -> None:
        """Restore, when the plan says so."""
        if not self.plan():
            return
        created = not self._destination.exists and self._destination.kind == VOLUMES
        if created and self._engine.volume(self._destination.name) is not None:
            raise RefusedError(
                f"{self._destination} was missing and has been made by somebody meanwhile. Run it again."
            )
        try:
            if created:
                self._create()
            if self._destination.road.path:
                self._outcome = restore_by_swap(
                    self._source,
                    self._destination,
                    self._walk_key(),
                    Swapper(self._engine, self._destination, self._holds, self._journal, self._params["wait_healthy"]),
                    self._journal,
                    keep=self._params["keep_previous"] and not created,
                )
            else:
                quiescence = Quiescence(
                    self._engine,
                    self._holds,
                    self._journal,
                    wait_healthy=self._params["wait_healthy"],
                    instead=INSTEAD_OF_STOPPING,
                )
                self._outcome = restore_by_engine(self._engine, self._source, self._destination, quiescence)
                lost = ", ".join(LOST_BY_ENGINE_ROAD)
                self._warnings.append(f"{self._destination} was restored through the engine, which loses {lost}.")
        except BaseException:
            if created:
                with suppress(NotFoundError):
                    self._engine.remove_volume(self._destination.name)
                self._journal.end(VOLUME, self._destination.name)
            raise
        self._journal.end(VOLUME, self._destination.name)

    def _create(self) -> None:
        """Make the missing volume: as it was recorded, or a plain one when it is another's name."""
        name = self._destination.name
        recorded = self._source.manifest.volume if self._source.manifest and not self._params["to"] else {}
        self._journal.begin(VOLUME, name, created_at="")
        volume = self._engine.create_volume(
            name, recorded.get("driver") or "local", recorded.get("options") or {}, recorded.get("labels") or {}
        )
        self._journal.begin(VOLUME, name, created_at=volume.created_at)
        self._destination = volume_destination(self._engine, name, self._host)
        self._refuse()

    def report(self) -> Report:
        """Return what was restored, or would be."""
        outcome = self._outcome
        needed = bool(self._reason) and self._reason != _SAME
        restored: dict[str, Any] = {}
        if outcome is not None:
            restored = result_of(outcome, self._source, self._destination)
            self._warnings += outcome.warnings + outcome.swapped.warnings
        held = outcome.swapped.held if outcome else []
        return Report(
            changed=needed,
            result={
                "restored": restored,
                "reason": self._reason or f"only_if: {self._params['only_if']} does not hold",
                "quiesced": [item._asdict() for item in held],
                **self._engine.debug_facts(),
            },
            warnings=self._warnings,
            differences=[self._difference()] if needed else [],
            failures=[],
        )

    def _difference(self) -> Difference:
        """Return the files that the restore takes away, brings back and changes."""
        found = self._differences or Differences()
        before = found.lines("added") + [f"{name} (as it is)" for name in found.lines("changed")]
        after = found.lines("removed") + [f"{name} (as in the backup)" for name in found.lines("changed")]
        return Difference(
            str(self._destination),
            "".join(f"{line}\n" for line in before),
            "".join(f"{line}\n" for line in [*after, f"# {self._source.id}: {self._reason}"]),
        )
