# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job of volume_restore with undo: the tree that the last restore replaced comes back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup import beside
from ansible_collections.steward.docker.plugins.module_utils._backup.consumers import users
from ansible_collections.steward.docker.plugins.module_utils._backup.destination import (
    Destination,
    anonymous_volume,
    directory_destination,
    observe_uses,
    refuse_unfit,
    volume_destination,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.journaled import JournaledJob
from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import VOLUMES
from ansible_collections.steward.docker.plugins.module_utils._backup.roads import observe_host
from ansible_collections.steward.docker.plugins.module_utils._backup.swap import (
    Swapped,
    Swapper,
    holds_for,
    refuse_holds,
)
from ansible_collections.steward.docker.plugins.module_utils._errors import StewardError
from ansible_collections.steward.docker.plugins.module_utils._job import Action, Difference, Report
from ansible_collections.steward.docker.plugins.module_utils._order import dependants

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.steward.docker.plugins.module_utils._backup.beside import Wrapper
    from ansible_collections.steward.docker.plugins.module_utils._backup.holding import Hold


class UndoJob(JournaledJob):
    """Takes back the last restore of a volume or a directory, and keeps no previous tree of its own."""

    def __init__(self, params: Mapping[str, Any], *, check_mode: bool) -> None:
        """Take the module's parameters."""
        super().__init__(params, check_mode=check_mode)
        self._previous: Optional[Wrapper] = None
        self._swapped: Optional[Swapped] = None
        self._holds: list[Hold] = []

    def observe(self) -> None:
        """Find the destination and its previous tree."""
        self._engine = self._connect("undo")
        host = observe_host(self._engine)
        containers = self._engine.containers()
        self._destination = self._find(host, containers)
        if not self._check_mode:
            observe_uses(self._destination, containers)
            using = users(self._destination.uses)
            self._lock_with_users(
                self._engine,
                {self._destination.lock_parts(self._engine): str(self._destination)},
                [*using, *dependants(using, containers)],
            )
            # The wait for a lock can be long.
            containers = self._engine.containers()
            self._destination = self._find(host, containers)
        path = self._destination.road.path
        if not self._destination.exists or not path:
            raise StewardError(
                f"There is nothing to undo for {self._destination}: {self._destination.road.reason}, so no restore has left "
                "a previous tree beside it."
            )
        if not self._check_mode:
            beside.sweep(path)
        observe_uses(self._destination, containers)
        self._previous = beside.previous(path)
        self._backup = self._previous.note().get("backup", "a backup") if self._previous else ""
        if self._previous is not None:
            self._holds = holds_for(self._destination, containers)
            refuse_holds(self._engine, self._destination, self._holds)
            refuse_unfit(self._destination, self._engine, host)

    def _find(self, host: Any, containers: Any) -> Destination:
        to, path, volume = self._params["to"], self._params["path"], self._params["volume"]
        name = to or path or volume
        if name.startswith("/"):
            return directory_destination(os.path.normpath(name), host)
        return volume_destination(self._engine, anonymous_volume(name, containers) if "/" in name else name, host)

    def plan(self) -> list[Action]:
        """Return the undoing, and the containers that are stopped for it."""
        if self._previous is None:
            return []
        name = self._destination.name
        kind = "volume" if self._destination.kind == VOLUMES else "directory"
        return [
            *(
                Action("container", hold.container.id, hold.container.name, "stop and start", hold.reason)
                for hold in self._holds
            ),
            Action(kind, name, name, "undo", f"take back the restore of {self._backup}"),
        ]

    def apply(self) -> None:
        """Let the previous tree and the data change places, and remove what was the data."""
        if self._previous is None:
            return
        path = self._destination.road.path
        swapper = Swapper(self._engine, self._destination, self._holds, self._journal, self._params["wait_healthy"])
        self._swapped = swapper.swap(self._previous)
        if not beside.remove(self._previous, path):
            self._warnings.append(f"The undone data of {self._destination} is still mounted; a later run removes it.")

    def report(self) -> Report:
        """Return what was undone, or would be."""
        undone = self._previous is not None
        held = self._swapped.held if self._swapped else []
        self._warnings += self._swapped.warnings if self._swapped else []
        name = "volume" if self._destination.kind == VOLUMES else "path"
        return Report(
            changed=undone,
            result={
                "restored": {name: self._destination.name, "backup": "", "previous": ""} if self._swapped else {},
                "reason": f"took back the restore of {self._backup}" if undone else "there is no restore to take back",
                "quiesced": [item._asdict() for item in held],
                **self._engine.debug_facts(),
            },
            warnings=self._warnings,
            differences=[
                Difference(str(self._destination), f"# as restored from {self._backup}\n", "# as before that restore\n")
            ]
            if undone
            else [],
            failures=[],
        )
