# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A job that holds containers: it begins by ending what dead runs have left, and keeps a journal of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.steward.docker.plugins.module_utils._backup import watchdog
from ansible_collections.steward.docker.plugins.module_utils._backup.journal import Journal
from ansible_collections.steward.docker.plugins.module_utils._backup.recovery import container_lock, recover
from ansible_collections.steward.docker.plugins.module_utils._engine import Engine
from ansible_collections.steward.docker.plugins.module_utils._job import Job

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.steward.docker.plugins.module_utils._engine import Container

# How long a container that a living run holds is waited for when a dead one's hold on it is to be ended, in seconds.
_SHORT = 5


class JournaledJob(Job):
    """A job with a journal."""

    def _connect(self, name: str) -> Engine:
        """Connect to the engine and end what dead runs left on it; in check mode only say what that would be."""
        engine = Engine(self._params)
        recovered = recover(engine, pretend=self._check_mode, lock_timeout=min(_SHORT, self._params["lock_timeout"]))
        self.recovered += recovered.actions
        self._warnings += recovered.warnings
        if not self._check_mode:
            engine.sweep_helpers()
        self._journal = Journal(engine.facts.id, name, lambda path: watchdog.start(path, self._params))
        self._locks.callback(self._journal.close)
        return engine

    def _lock_with_users(self, engine: Engine, objects: dict[tuple[str, ...], str], users: Iterable[Container]) -> None:
        """Take the locks of objects and of the containers that use them: another run may hold one of those still."""
        for user in users:
            objects[container_lock(engine, user.id)] = f"the container {user.name}"
        self._lock(objects)
