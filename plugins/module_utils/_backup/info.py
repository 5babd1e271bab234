# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a store has: its backups, which of them are damaged or stale, and what of this engine has none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup import beside
from ansible_collections.steward.docker.plugins.module_utils._backup.disk import digest_of_content
from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import (
    BINDS,
    VOLUMES,
    Manifest,
    Subject,
    now,
    parse_time,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.roads import observe_host
from ansible_collections.steward.docker.plugins.module_utils._backup.select import Selection, choose, is_anonymous
from ansible_collections.steward.docker.plugins.module_utils._backup.source import source_of_backup, verify
from ansible_collections.steward.docker.plugins.module_utils._backup.store import Backup, Store
from ansible_collections.steward.docker.plugins.module_utils._durations import seconds_of, spoken
from ansible_collections.steward.docker.plugins.module_utils._engine import SDK_IMPORT_ERROR, Engine
from ansible_collections.steward.docker.plugins.module_utils._errors import (
    EngineError,
    StewardError,
    StoreError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime


class Shelf(NamedTuple):
    """A subject's backups, as they were found and proven."""

    subject: Subject
    backups: list[Backup]

    @property
    def newest(self) -> Optional[Manifest]:
        """The newest backup that is not damaged, or None."""
        whole = [backup.manifest for backup in self.backups if backup.manifest and not backup.damage]
        return whole[-1] if whole else None


def prove(backup: Backup, how: str) -> Backup:
    """Return the backup with its damage, if reading it shows some. `how` is none, checksum or full."""
    manifest = backup.manifest
    if how == "none" or manifest is None or backup.damage:
        return backup
    try:
        if how == "full":
            verify(source_of_backup(backup))
        else:
            for what, path, wanted in (
                ("archive", backup.archive_path, manifest.archive["sha256"]),
                ("index", backup.index_path, manifest.index["sha256"]),
            ):
                with path.open("rb", buffering=0) as file:
                    if digest_of_content(file) != wanted:
                        return backup._replace(damage=f"The {what} {path} is damaged: its SHA-256 is another.")
    except (StewardError, OSError) as error:
        return backup._replace(damage=str(error))
    return backup


def _naming(subject: Subject) -> dict[str, str]:
    return {"volume" if subject.kind == VOLUMES else "path_backed_up": subject.name}


def rows_of(shelf: Shelf, moment: datetime) -> list[dict[str, Any]]:
    """Return one row for each backup of a subject, the newest first."""
    newest = shelf.newest
    rows: list[dict[str, Any]] = []
    for backup in reversed(shelf.backups):
        manifest = backup.manifest
        row: dict[str, Any] = {
            "host": shelf.subject.host,
            **_naming(shelf.subject),
            "id": manifest.id if manifest else backup.path.stem,
            "status": "damaged" if backup.damage else "whole",
            "damage": backup.damage,
            "latest": bool(newest and manifest and not backup.damage and manifest.id == newest.id),
        }
        if manifest:
            row.update(
                created_at=manifest.created_at,
                confirmed_at=manifest.confirmed_at,
                age=int((moment - parse_time(manifest.confirmed_at)).total_seconds()),
                path=str(backup.archive_path),
                files=manifest.files,
                size=manifest.size,
                stored=manifest.stored,
                sha256=manifest.archive["sha256"],
                quiesce=manifest.quiesce,
                consistent=manifest.consistent,
                road=manifest.road,
                lost=manifest.lost,
                group=manifest.group,
                warnings=manifest.warnings,
            )
        rows.append(row)
    return rows


def stale_of(shelves: Iterable[Shelf], max_age: Optional[int], moment: datetime) -> list[dict[str, Any]]:
    """Return the subjects whose newest whole backup was made and confirmed longer ago than `max_age` seconds."""
    found: list[dict[str, Any]] = []
    for shelf in shelves if max_age is not None else ():
        newest = shelf.newest
        age = int((moment - parse_time(newest.confirmed_at)).total_seconds()) if newest else None
        if age is not None and max_age is not None and age <= max_age:
            continue
        reason = "no whole backup" if age is None else f"last confirmed {spoken(age)} ago"
        found.append({"host": shelf.subject.host, **_naming(shelf.subject), "age": age, "reason": reason})
    return found


class Question:
    """One run of backup_info."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        """Take the module's parameters."""
        self._params = params
        age = params["max_age"]
        self._max_age = seconds_of(age, "max_age") if age else None
        self._warnings: list[str] = []

    def answer(self) -> tuple[dict[str, Any], list[str]]:
        """Return the result and the warnings."""
        params = self._params
        store = Store.open(params["store"])
        engine, why_not = self._engine()
        own = params["host"] or (engine.facts.name if engine else "")
        if not own and not params["all_hosts"]:
            raise EngineError(f"{why_not} Without an engine, name the host whose backups are meant, or set all_hosts.")
        hosts = store.hosts() if params["all_hosts"] else [own]
        wanted = self._wanted([subject for host in hosts for subject in store.subjects(host)], store)
        shelves = [
            Shelf(subject, [prove(backup, params["verify"]) for backup in store.backups(subject)]) for subject in wanted
        ]
        shelves = [shelf for shelf in shelves if shelf.backups]
        moment = now()
        rows = [row for shelf in shelves for row in rows_of(shelf, moment)]
        result = {
            "store": {"path": str(store.path), "id": store.id},
            "host": own,
            "hosts": store.hosts(),
            "engine_reached": engine is not None,
            "engine_problem": why_not,
            **(engine.debug_facts() if engine else {}),
            "backups": rows,
            "damaged": [row for row in rows if row["status"] == "damaged"],
            "stale": stale_of(shelves, self._max_age, moment),
            **self._of_engine(engine, store, own, wanted),
            "totals": {
                "subjects": len(shelves),
                "backups": len(rows),
                "damaged": sum(row["status"] == "damaged" for row in rows),
                "stored": sum(row.get("stored", 0) for row in rows),
            },
        }
        return result, self._warnings

    def _engine(self) -> tuple[Optional[Engine], str]:
        if SDK_IMPORT_ERROR is not None:
            return None, "No Python of this host has the Docker SDK, so that its engine cannot be asked."
        try:
            return Engine(self._params), ""
        except EngineError as error:
            return None, str(error)

    def _wanted(self, subjects: Sequence[Subject], store: Store) -> list[Subject]:
        volumes, paths = self._params["volumes"], [os.path.normpath(path) for path in self._params["paths"]]
        if not volumes and not paths:
            return list(subjects)
        found = [subject for subject in subjects if subject.name in (volumes if subject.kind == VOLUMES else paths)]
        missing = {*volumes, *paths} - {subject.name for subject in found}
        if missing:
            there = ", ".join(sorted({subject.name for subject in subjects})) or "none"
            raise StoreError(
                f"The store {store.path} has no backup of {', '.join(sorted(missing))}. It has backups of: {there}."
            )
        return found

    def _of_engine(
        self, engine: Optional[Engine], store: Store, own: str, wanted: Sequence[Subject]
    ) -> dict[str, list[Any]]:
        """Return what of this engine has no whole backup, and the trees that restores left beside its data."""
        if engine is None:
            return {"unprotected": [], "unprotected_anonymous": [], "previous": []}
        containers = engine.containers()
        volumes = engine.volumes()
        used = {mount.volume for container in containers for mount in container.mounts if mount.volume}
        chosen, _binds = choose(Selection(everything=True, anonymous=True), volumes, containers)
        bare = [
            item for item in chosen if item.volume.name in used and not store.whole(Subject(own, VOLUMES, item.kept_as))
        ]
        previous: list[dict[str, Any]] = []
        if observe_host(engine).paths:
            places = {("volume", volume.name): volume.mountpoint for volume in volumes if volume.driver == "local"}
            for subject in wanted:
                if subject.kind == BINDS and subject.host == own:
                    places[("path_backed_up", subject.name)] = subject.name
            for (what, name), place in places.items():
                previous += [{what: name, **tree} for tree in beside.previous_trees(place)]
        return {
            "unprotected": [item.kept_as for item in bare if not is_anonymous(item.volume)],
            "unprotected_anonymous": [item.kept_as for item in bare if is_anonymous(item.volume)],
            "previous": previous,
        }
