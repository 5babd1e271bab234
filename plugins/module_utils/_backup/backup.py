# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job of volume_backup: observe, plan, apply, report."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup.capture import Capture, Settings
from ansible_collections.steward.docker.plugins.module_utils._backup.compare import Differences
from ansible_collections.steward.docker.plugins.module_utils._backup.compress import refuse_level
from ansible_collections.steward.docker.plugins.module_utils._backup.consumers import (
    consumers,
    groups,
    overlookers,
    users,
    uses,
    writers,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.examine import (
    Verdict,
    Wishes,
    examine,
    save_walk_again,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.holding import (
    NONE,
    OVERRIDE_LABEL,
    PAUSE,
    STOP,
    Hold,
    mode_of,
    plan_holds,
    refuse_stop,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.hooks import Hook, Hooks, plan_hooks
from ansible_collections.steward.docker.plugins.module_utils._backup.journal import FILES
from ansible_collections.steward.docker.plugins.module_utils._backup.journaled import JournaledJob
from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import format_time, now
from ansible_collections.steward.docker.plugins.module_utils._backup.quiesce import Held, Quiescence
from ansible_collections.steward.docker.plugins.module_utils._backup.retention import Retention, plan_retention
from ansible_collections.steward.docker.plugins.module_utils._backup.roads import observe_host
from ansible_collections.steward.docker.plugins.module_utils._backup.select import Selection, choose, find_container
from ansible_collections.steward.docker.plugins.module_utils._backup.store import Backup, Store
from ansible_collections.steward.docker.plugins.module_utils._backup.targets import (
    Target,
    bind_target,
    left_out_binds,
    observe_targets,
    volume_target,
)
from ansible_collections.steward.docker.plugins.module_utils._durations import seconds_of
from ansible_collections.steward.docker.plugins.module_utils._errors import QuiesceError, RefusedError, StewardError
from ansible_collections.steward.docker.plugins.module_utils._job import Action, Difference, Report
from ansible_collections.steward.docker.plugins.module_utils._order import dependants

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import Manifest
    from ansible_collections.steward.docker.plugins.module_utils._engine import Container


_INSTEAD = "Back up with quiesce: pause"


@dataclass
class Item:
    """One target on its way through the job."""

    target: Target
    whole: list[Manifest] = field(default_factory=list)
    newest: Optional[Backup] = None
    verdict: Verdict = field(default_factory=lambda: Verdict(False, ""))
    retention: Retention = field(default_factory=lambda: Retention({}, [], ""))
    made: Optional[Backup] = None
    held: list[Held] = field(default_factory=list)
    # How often it was read.
    attempts: int = 0
    pruned: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failure: str = ""


@dataclass
class Group:
    """Targets that share a writer: held once, read together."""

    items: list[Item]
    holds: list[Hold]
    hooks: list[Hook]


class BackupJob(JournaledJob):
    """Backs up the selected volumes and directories."""

    def __init__(self, params: Mapping[str, Any], *, check_mode: bool, diff: bool) -> None:
        """Take the module's parameters."""
        super().__init__(params, check_mode=check_mode)
        self._in_full = check_mode or diff
        self._moment = now()
        wrong = [unit for unit, count in (params["keep"] or {}).items() if count < 0]
        if wrong:
            raise StewardError(f"The option keep has a number below zero at {wrong[0]}. Set how many are to be kept.")
        refuse_level(params["compression"], params["compression_level"])
        refresh = params["refresh_after"]
        self._wishes = Wishes(
            params["force"], seconds_of(refresh, "refresh_after") if refresh else None, list(params["exclude_paths"])
        )
        self._settings = Settings(
            params["quiesce"], params["compression"], params["compression_level"], list(params["exclude_paths"])
        )
        self._failures: list[str] = []
        self._items: list[Item] = []
        self._groups: list[Group] = []

    def observe(self) -> None:
        """Find what is selected, and look whether it has changed since its newest backup."""
        params = self._params
        self._engine = self._connect("backup")
        self._host = observe_host(self._engine)
        containers = self._engine.containers()
        selection = Selection(
            volumes=params["volumes"],
            containers=params["containers"],
            compose_project=params["compose_project"],
            labels=params["labels"],
            everything=params["all"],
            exclude=params["exclude"],
            bind_mounts=params["bind_mounts"],
            anonymous=params["anonymous"],
        )
        volumes, mounted = choose(selection, self._engine.volumes(), containers)
        self._store = Store.create(params["store"], pretend=self._check_mode)
        name = params["host"] or self._engine.facts.name
        stopped = {mount.volume for user in containers if self._may_stop(user) for mount in user.mounts}
        binds, warnings = left_out_binds(mounted, self._host)
        self._warnings += warnings
        targets = [volume_target(chosen, name, self._host, stops=chosen.volume.name in stopped) for chosen in volumes]
        targets += [bind_target(chosen, name, self._host) for chosen in binds]
        self._items = [Item(target) for target in targets]
        observe_targets(self._engine, self._host, str(self._store.path), containers, targets)
        self._refuse_unknown_hooks(containers)
        if not self._check_mode:
            self._lock_with_users(
                self._engine,
                {target.lock_parts(self._engine): str(target.subject) for target in targets},
                self._concerned(containers),
            )
            # The wait for a lock can be long.
            containers = self._engine.containers()
            observe_targets(self._engine, self._host, str(self._store.path), containers, targets)
        for item in self._items:
            self._observe(item)
        self._group(containers)

    def _may_stop(self, container: Container) -> bool:
        """Return whether a backup of a container's data stops it. A label that says nonsense is refused later."""
        return container.state == "running" and container.labels.get(OVERRIDE_LABEL, self._settings.quiesce) == STOP

    def _concerned(self, containers: Sequence[Container]) -> list[Container]:
        """Return every container that this run, or another one, may hold still for the targets."""
        using = [user for item in self._items for user in users(item.target.uses)]
        return [*using, *dependants(using, containers)]

    def _refuse_unknown_hooks(self, containers: Sequence[Container]) -> None:
        """Raise when the options before and after name a container that is not there or uses nothing that is selected."""
        using = {user.id for item in self._items for user in users(item.target.uses)}
        for option in ("before", "after"):
            for name in self._params[option]:
                if find_container(name, containers).id not in using:
                    raise RefusedError(
                        f"The option {option} names the container {name}, which uses nothing that is selected. "
                        "Select what it uses, or leave it out."
                    )

    def _observe(self, item: Item) -> None:
        target = item.target
        if target.refused:
            item.failure = target.refused
            return
        try:
            backups = self._store.backups(target.subject)
            item.whole = [backup.manifest for backup in backups if backup.manifest and not backup.damage]
            item.warnings += [f"A damaged backup is not counted: {found.damage}" for found in backups if found.damage]
            item.newest = next((found for found in reversed(backups) if found.manifest and not found.damage), None)
            for container in overlookers(target.uses):
                item.warnings.append(
                    f"The container {container.name} mounts a directory that contains {target.subject} and is not held."
                )
            item.verdict = examine(
                self._engine, self._store, target, item.newest, self._wishes, self._moment, in_full=self._in_full
            )
        except StewardError as error:
            item.failure = str(error)

    def _group(self, containers: Sequence[Container]) -> None:
        """Put what has to be backed up into groups, each with the containers to hold and the commands to run."""
        mode = self._settings.quiesce
        needed: list[Item] = []
        how: dict[str, str] = {}
        for item in self._items:
            if item.failure or not item.verdict.needed:
                continue
            try:
                how.update({writer.id: mode_of(writer, mode) for writer in writers(item.target.uses)})
                self._refuse(item, how, containers)
            except StewardError as error:
                item.failure = str(error)
            else:
                needed.append(item)
        members = [[writer.id for writer in writers(item.target.uses)] for item in needed]
        for indexes in groups(members):
            items = [needed[index] for index in indexes]
            self._groups.append(Group(items, self._holds(items, how, containers), self._hooks(items)))

    def _holds(self, items: Sequence[Item], how: Mapping[str, str], containers: Sequence[Container]) -> list[Hold]:
        writing = {writer.id: writer for item in items for writer in writers(item.target.uses)}
        names = " and ".join(str(item.target.subject) for item in items)
        return plan_holds(writing.values(), containers, how, f"it writes to {names}")

    def _hooks(self, items: Sequence[Item]) -> list[Hook]:
        using = {user.id: user for item in items for user in consumers(item.target.uses)}
        return plan_hooks(using.values(), self._params["before"], self._params["after"])

    def _refuse(self, item: Item, how: Mapping[str, str], containers: Sequence[Container]) -> None:
        """Raise RefusedError, before anything is touched, for a container that must not be stopped, or a wrong command."""
        self._hooks([item])
        for hold in self._holds([item], how, containers):
            if hold.action == STOP:
                refuse_stop(hold.container, self._engine.inspect(hold.container.id), _INSTEAD)

    def plan(self) -> list[Action]:
        """Return which targets are backed up and which old backups are removed."""
        actions = [action for group in self._groups for action in _actions_of(group)]
        for item in self._items:
            if item.failure:
                continue
            target = item.target
            expected = item.whole
            if item.verdict.needed:
                identifier = target.volume.name if target.volume else target.path
                actions.append(
                    Action(
                        target.kind, identifier, target.subject.name, "back up", item.verdict.reason, item.verdict.size
                    )
                )
                expected = [*expected, *self._expected(item)]
            item.retention = plan_retention(expected, self._params["keep"], self._params["accept_shrink"] or "")
            actions += [
                Action("backup", manifest.id, target.subject.name, "remove", "not kept any more", manifest.stored)
                for manifest in item.whole
                if manifest.id in item.retention.prune
            ]
        return actions

    def _expected(self, item: Item) -> list[Manifest]:
        """Return a stand-in for the backup that is to be made: as the newest one, only newer."""
        if item.newest is None or item.newest.manifest is None:
            return []
        newest = item.newest.manifest
        return [replace(newest, id="new", sequence=newest.sequence + 1, created_at=format_time(self._moment))]

    def apply(self) -> None:
        """Back up group by group, then confirm what was unchanged and remove what is not kept."""
        try:
            for group in self._groups:
                try:
                    self._back_up(group)
                except StewardError as error:
                    for item in group.items:
                        item.failure = item.failure or str(error)
        finally:
            for item in self._items:
                self._journal.end(FILES, str(item.target.subject))
        for item in self._items:
            if item.failure:
                continue
            try:
                self._finish(item)
            except StewardError as error:
                item.failure = str(error)

    def _back_up(self, group: Group) -> None:
        """Read the targets of a group, again while files changed under it and `retries` allow, and finish them."""
        for attempt in range(self._params["retries"] + 1):
            for item in group.items:
                item.attempts = attempt + 1
            captures, held = self._capture(group)
            if all(capture.consistent for _item, capture in captures) or attempt == self._params["retries"]:
                break
            for _item, capture in captures:
                capture.abort()
        stamp = f"{self._moment:%Y%m%dT%H%M%SZ}"
        name = f"{stamp}-{group.items[0].target.subject.name}" if len(group.items) > 1 else ""
        try:
            for item, capture in captures:
                item.held = held
                try:
                    item.made = capture.commit(name, held)
                except StewardError as error:
                    item.failure = str(error)
        finally:
            # Does nothing to those that were committed.
            for _item, capture in captures:
                capture.abort()

    def _capture(self, group: Group) -> tuple[list[tuple[Item, Capture]], list[Held]]:
        """Read the targets of a group while its writers are held; when that fails, leave nothing."""
        captures: list[tuple[Item, Capture]] = []
        quiescence = Quiescence(
            self._engine,
            group.holds,
            self._journal,
            limit=self._params["quiesce_max"] or None,
            wait_healthy=self._params["wait_healthy"],
            instead=_INSTEAD,
        )
        hooks = Hooks(self._engine, self._journal, group.hooks)
        try:
            try:
                hooks.before()
                readable = self._readable(group, hooks.refused)
                if readable:
                    with quiescence:
                        self._refuse_newcomers(group)
                        for item in readable:
                            self._read(item, captures)
                        quiescence.refuse_loose()
            finally:
                # Once more: a signal at the very end of the block comes before its own release.
                quiescence.release()
                hooks.after()
                # A container that could not be put back is a failure of the run, whatever else became of it.
                self._failures += quiescence.failures + hooks.failures
            if quiescence.expired:
                raise QuiesceError(
                    f"The containers were put back after quiesce_max ({self._params['quiesce_max']} s), before their data "
                    "was read. Set a longer quiesce_max, or find out what is slow."
                )
            for _item, capture in captures:
                capture.look_back()
        except BaseException:
            for _item, capture in captures:
                capture.abort()
            raise
        return captures, list(quiescence.held)

    @staticmethod
    def _readable(group: Group, refused: Mapping[str, str]) -> list[Item]:
        """Return the items that no command forbids to read; the others fail."""
        for item in group.items:
            for user in consumers(item.target.uses):
                if user.id in refused:
                    item.failure = refused[user.id]
        return [item for item in group.items if not item.failure]

    def _read(self, item: Item, captures: list[tuple[Item, Capture]]) -> None:
        """Read one target; its own failure does not stop the others of its group."""
        subject = item.target.subject
        capture = Capture(self._engine, self._store, item.target, self._settings, self._moment)
        self._journal.begin(FILES, str(subject), store=str(self._store.path), subject=list(subject))
        try:
            capture.read()
        except BaseException as error:
            capture.abort()
            if not isinstance(error, StewardError):
                raise
            item.failure = str(error)
        else:
            captures.append((item, capture))

    def _refuse_newcomers(self, group: Group) -> None:
        """Raise QuiesceError when a container that writes has started since the plan was made."""
        containers = self._engine.containers()
        known = {writer.id for item in group.items for writer in writers(item.target.uses)}
        for item in group.items:
            for container in writers(uses(item.target.place, containers, {})):
                if container.id not in known and mode_of(container, self._settings.quiesce) != NONE:
                    raise QuiesceError(
                        f"The container {container.name} started to use {item.target.subject} while the backup began. "
                        "Run the backup again."
                    )

    def _finish(self, item: Item) -> None:
        """Confirm what was unchanged, and remove what the plan said and what is still not kept."""
        subject = item.target.subject
        self._store.sweep(subject)
        if item.made is None and item.newest is not None and item.newest.manifest is not None:
            self._store.confirm(subject, item.newest.manifest, self._moment)
            if item.verdict.settled:
                save_walk_again(self._engine, self._store, item.target, item.newest, self._wishes)
        whole = self._store.whole(subject)
        accepted = self._params["accept_shrink"] or ""
        for manifest in whole:
            if manifest.id == accepted and not manifest.shrink_accepted:
                manifest.shrink_accepted = True
                self._store.rewrite(subject, manifest)
        planned = set(item.retention.prune)
        item.retention = plan_retention(whole, self._params["keep"], accepted)
        for manifest in whole:
            if manifest.id in planned and manifest.id in item.retention.prune:
                self._store.remove(subject, manifest)
                item.pruned.append(manifest.id)

    def report(self) -> Report:
        """Return the result, the same in form whether or not the plan was applied."""
        failures = [f"{item.target.subject}: {item.failure}" for item in self._items if item.failure]
        warnings = list(self._warnings)
        for item in self._items:
            if item.retention.held_back:
                item.warnings.append(item.retention.held_back)
            manifest = item.made.manifest if item.made else None
            item.warnings += manifest.warnings if manifest else []
            warnings += [warning for warning in item.warnings if warning not in warnings]
        rows = [self._row(item) for item in self._items]
        return Report(
            changed=any(row["changed"] for row in rows),
            result={
                "backups": rows,
                "store": {"path": str(self._store.path), "id": self._store.id},
                **self._engine.debug_facts(),
            },
            warnings=warnings,
            differences=[_difference(item) for item in self._items if item.verdict.needed],
            failures=[f"{len(failures)} of {len(rows)} could not be backed up. {' '.join(failures)}"] * bool(failures)
            + self._failures,
        )

    def _row(self, item: Item) -> dict[str, Any]:
        shown = item.made or item.newest
        manifest = shown.manifest if shown else None
        pruned = item.retention.prune if self._check_mode else item.pruned
        made = item.verdict.needed if self._check_mode else item.made is not None
        name = "volume" if item.target.volume else "path_backed_up"
        return {
            name: item.target.subject.name,
            "changed": bool((made and not item.failure) or pruned),
            "failed": bool(item.failure),
            "reason": item.failure or item.verdict.reason,
            "id": manifest.id if manifest else "",
            "path": str(shown.archive_path) if shown else "",
            "files": manifest.files if manifest else 0,
            "size": manifest.size if manifest else 0,
            "stored": manifest.stored if manifest else 0,
            "sha256": manifest.archive["sha256"] if manifest else "",
            "attempts": item.attempts,
            "consistent": manifest.consistent if manifest else True,
            "changed_files": manifest.changed_files if manifest else 0,
            "changed_while_read": manifest.changed_while_read if manifest else [],
            "vanished_files": manifest.vanished_files if manifest else 0,
            "vanished_while_read": manifest.vanished_while_read if manifest else [],
            "quiesced": [held._asdict() for held in item.held],
            "pruned": list(pruned),
            "warnings": item.warnings,
        }


def _actions_of(group: Group) -> list[Action]:
    """Return what is done to containers for a group."""
    actions = [
        Action(
            "container", hook.container.id, hook.container.name, "run a command", f"{when} its data is read: {command}"
        )
        for when, hooks in (("before", group.hooks), ("after", group.hooks))
        for hook in hooks
        if (command := shlex.join(getattr(hook, when)))
    ]
    words = {PAUSE: "pause and unpause", STOP: "stop and start"}
    actions += [
        Action("container", hold.container.id, hold.container.name, words[hold.action], hold.reason)
        for hold in group.holds
    ]
    return actions


def _difference(item: Item) -> Difference:
    """Return what diff mode shows of one target: the files that are not as in the newest backup."""
    differences = item.verdict.differences or Differences()
    gone = [f"- {name}" for name in differences.lines("removed")]
    touched = [f"~ {name}" for name in differences.lines("changed")]
    fresh = [f"+ {name}" for name in differences.lines("added")]
    before, after = "\n".join(gone + touched), "\n".join(fresh + touched)
    return Difference(
        str(item.target.subject),
        f"{before}\n" if before else "",
        f"{after}\n# {item.verdict.reason}\n" if after else f"# {item.verdict.reason}\n",
    )
