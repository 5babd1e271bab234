# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One target read into a draft, while those who write to it are held still."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup.archive import Written, write_stream, write_tree
from ansible_collections.steward.docker.plugins.module_utils._backup.compress import Compression, choose_compression
from ansible_collections.steward.docker.plugins.module_utils._backup.disk import syncfs
from ansible_collections.steward.docker.plugins.module_utils._backup.exclude import Excludes
from ansible_collections.steward.docker.plugins.module_utils._backup.lines import LineWriter
from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import Manifest, format_time
from ansible_collections.steward.docker.plugins.module_utils._backup.roads import LOST_BY_ENGINE_ROAD, user_mapping
from ansible_collections.steward.docker.plugins.module_utils._backup.saved_walk import SavedWalk
from ansible_collections.steward.docker.plugins.module_utils._backup.tree import Walk
from ansible_collections.steward.docker.plugins.module_utils._errors import StewardError, TreeError
from ansible_collections.steward.docker.plugins.module_utils._names import printable
from ansible_collections.steward.docker.plugins.module_utils._signals import uninterrupted

if TYPE_CHECKING:
    from datetime import datetime

    from ansible_collections.steward.docker.plugins.module_utils._backup.quiesce import Held
    from ansible_collections.steward.docker.plugins.module_utils._backup.store import Backup, Draft, Store
    from ansible_collections.steward.docker.plugins.module_utils._backup.targets import Target
    from ansible_collections.steward.docker.plugins.module_utils._engine import Engine

_SHOWN = 20


class Settings(NamedTuple):
    """The options that say how an archive is made."""

    quiesce: str
    compression: str
    level: Optional[int]
    exclude_paths: list[str]


class Capture:
    """A backup between its reading and its manifest: read() while writers are held, commit() once they are back."""

    def __init__(self, engine: Engine, store: Store, target: Target, settings: Settings, moment: datetime) -> None:
        """Prepare, without touching anything."""
        self._engine = engine
        self._store = store
        self._target = target
        self._settings = settings
        self._moment = moment
        self._compression: Compression = choose_compression(settings.compression)
        self._draft: Optional[Draft] = None
        self._walk: Optional[Walk] = None
        self._saved: Optional[SavedWalk] = None
        self._written: Optional[Written] = None
        self._index_digest = ""

    @property
    def consistent(self) -> bool:
        """Whether no file changed while it was read."""
        return self._written is not None and not self._written.changed_while_read

    def read(self) -> None:
        """Archive the target into the store under temporary names, with its index and its walk."""
        suffix = self._compression.suffix
        with uninterrupted():
            draft = self._draft = self._store.draft(self._target.subject, self._moment, suffix, suffix)
        header = {"backup": draft.id, **self._target.subject._asdict()}
        index = LineWriter(draft.index, self._compression, header)
        exclude = Excludes(self._settings.exclude_paths)
        try:
            if self._target.road.path:
                self._written = self._read_path(draft, index, exclude)
            else:
                with self._engine.helper(**self._target.handle()) as helper:
                    self._written = write_stream(
                        self._engine.read_tree(helper),
                        draft.archive,
                        self._compression,
                        self._settings.level,
                        index.add,
                        exclude=exclude,
                    )
            self._index_digest = index.close()
        finally:
            index.end()

    def _read_path(self, draft: Draft, index: LineWriter, exclude: Excludes) -> Written:
        root = self._target.road.path
        syncfs(root)
        before = os.stat(root)
        if (before.st_dev, before.st_ino) != self._target.place.lineage[0]:
            raise TreeError(f"The directory {root} was mounted, unmounted or replaced since it was looked at.")
        walk = self._walk = Walk(root, exclude)
        key = self._target.walk_key(self._engine, self._store.id)
        self._saved = SavedWalk(key, draft.id, time.time_ns())
        self._saved.write(walk)
        if walk.too_long:
            raise TreeError(
                f"The path {printable(walk.too_long[0])} in {root} is longer than the 4096 bytes that a path may have: "
                "it could be archived but never be extracted. Shorten it, or leave it out with exclude_paths."
            )
        written = write_tree(
            root,
            draft.archive,
            self._compression,
            self._settings.level,
            index.add,
            exclude=exclude,
            excluded=walk.excluded,
        )
        after = os.stat(root)
        if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino):
            raise TreeError(f"The directory {root} was mounted, unmounted or replaced while it was read.")
        return written

    def abort(self) -> None:
        """Leave nothing of it. Does nothing after commit()."""
        with uninterrupted():
            if self._draft is not None:
                self._draft.abort()
            if self._saved is not None:
                self._saved.drop()

    def commit(self, group: str, held: list[Held]) -> Backup:
        """Finish the backup: from now on it is listed."""
        if self._draft is None or self._written is None:
            raise StewardError(f"The backup of {self._target.subject} was not read.")
        backup = self._draft.commit(self._manifest(self._draft, self._written, group, held))
        if self._saved is not None:
            self._saved.keep()
        return backup

    def _manifest(self, draft: Draft, written: Written, group: str, held: list[Held]) -> Manifest:
        target, walk = self._target, self._walk
        root = written.root
        stamp = format_time(self._moment)
        facts = self._engine.facts
        volume: dict[str, Any] = {}
        if target.volume is not None:
            volume = {
                "name": target.volume.name,
                "driver": target.volume.driver,
                "options": target.volume.options,
                "labels": target.volume.labels,
                "created_at": target.volume.created_at,
            }
        return Manifest(
            id=draft.id,
            sequence=draft.sequence,
            created_at=stamp,
            confirmed_at=stamp,
            host=target.subject.host,
            kind=target.subject.kind,
            name=target.subject.name,
            engine={"id": facts.id, "name": facts.name, "version": facts.version},
            archive={
                "name": draft.archive_name,
                "sha256": written.sha256,
                "bytes": written.stored,
                "compression": self._compression.name,
            },
            index={"name": draft.index_name, "sha256": self._index_digest},
            root={"mode": f"{root.mode:o}", "uid": root.uid, "gid": root.gid} if root else {},
            files=written.files,
            directories=written.directories,
            size=written.size,
            allocated=walk.allocated if walk else written.size,
            quiesce=self._settings.quiesce,
            road="path" if target.road.path else "engine",
            lost=[] if target.road.path else list(LOST_BY_ENGINE_ROAD),
            volume=volume,
            anonymous=target.anonymous,
            group=group,
            quiesced=[item._asdict() for item in held],
            consistent=self.consistent,
            changed_while_read=written.changed_while_read[:_SHOWN],
            sockets=walk.sockets if walk else 0,
            other_file_systems=[printable(path) for path in walk.other_file_systems] if walk else [],
            exclude_paths=self._settings.exclude_paths,
            excluded=len(walk.excluded) if walk else 0,
            user_mapping=user_mapping(facts),
            warnings=self._warnings(written),
        )

    def _warnings(self, written: Written) -> list[str]:
        found: list[str] = []
        subject = self._target.subject
        if written.changed_while_read:
            names = ", ".join(written.changed_while_read[:3])
            found.append(f"{len(written.changed_while_read)} files of {subject} changed while they were read: {names}.")
        if self._walk is not None:
            for path in self._walk.other_file_systems:
                found.append(
                    f"Another file system is mounted at {printable(path)} in {subject}: it is not in the backup."
                )
        if not self._target.road.path:
            found.append(
                f"{subject} was read through the engine ({self._target.road.reason}), which loses "
                f"{', '.join(LOST_BY_ENGINE_ROAD)}."
            )
        if self._compression.name != self._settings.compression:
            found.append(f"This host has no {self._settings.compression}: {subject} was compressed with gzip.")
        return found
