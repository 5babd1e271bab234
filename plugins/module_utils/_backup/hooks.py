# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands that are run in containers before and after their data is read."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.steward.docker.plugins.module_utils._backup.journal import AFTER, Journal
from ansible_collections.steward.docker.plugins.module_utils._errors import EngineError, RefusedError
from ansible_collections.steward.docker.plugins.module_utils._signals import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ansible_collections.steward.docker.plugins.module_utils._engine import Container, Engine

BEFORE_LABEL, AFTER_LABEL = "steward.backup.before", "steward.backup.after"
_LAST_WORDS = 500


class Hook(NamedTuple):
    """The commands of one container; an empty one is none."""

    container: Container
    before: list[str]
    after: list[str]


def command_of(value: Any, where: str) -> list[str]:
    """Return a command given as a list of words, or as text that is split as a shell would, without running one."""
    if isinstance(value, (list, tuple)) and all(isinstance(word, str) for word in value):
        words = list(value)
    elif isinstance(value, str):
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise RefusedError(f"{where} is {value!r}, which cannot be split into words: {error}.") from error
    else:
        raise RefusedError(f"{where} is {value!r}. Give a command as text or as a list of words.")
    if not words:
        raise RefusedError(f"{where} is empty. Give a command, or leave it out.")
    return words


def plan_hooks(users: Iterable[Container], before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Hook]:
    """Return the commands to run in those who use the data and run: an option goes before a container's label."""
    hooks: list[Hook] = []
    for user in sorted(users, key=lambda container: container.name):
        commands: list[list[str]] = []
        for option, given, label in (("before", before, BEFORE_LABEL), ("after", after, AFTER_LABEL)):
            if user.name in given:
                commands.append(command_of(given[user.name], f"The option {option} for the container {user.name}"))
            elif label in user.labels:
                commands.append(command_of(user.labels[label], f"The label {label} of the container {user.name}"))
            else:
                commands.append([])
        if user.state == "running" and any(commands):
            hooks.append(Hook(user, commands[0], commands[1]))
    return hooks


class Hooks:
    """Runs the commands of a group around its reading; what is to be run afterwards is run in every outcome."""

    def __init__(self, engine: Engine, journal: Journal, hooks: Sequence[Hook]) -> None:
        """Prepare, without running anything."""
        self._engine = engine
        self._journal = journal
        self._hooks = hooks
        self._begun: list[Hook] = []
        # By the ID of the container: why its data must not be read.
        self.refused: dict[str, str] = {}
        self.failures: list[str] = []

    def before(self) -> None:
        """Run what comes before. A command that fails is in `refused`."""
        for hook in self._hooks:
            with uninterrupted():
                if hook.after:
                    facts = {"container": hook.container.id, "name": hook.container.name, "command": hook.after}
                    self._journal.begin(AFTER, hook.container.id, **facts)
                self._begun.append(hook)
            if hook.before and (problem := self._run(hook.container, hook.before)):
                self.refused[hook.container.id] = problem

    def after(self) -> None:
        """Run what comes after, the last first. A command that fails is in `failures`. Called again, it does nothing."""
        with uninterrupted():
            while self._begun:
                hook = self._begun.pop()
                if hook.after:
                    if problem := self._run(hook.container, hook.after):
                        self.failures.append(problem)
                    self._journal.end(AFTER, hook.container.id)

    def _run(self, container: Container, command: list[str]) -> str:
        """Run a command; return what is wrong when it fails, "" when it does not."""
        try:
            status, said = self._engine.run_in(container.id, command)
        except EngineError as error:
            return str(error)
        if status == 0:
            return ""
        words = said.strip()[-_LAST_WORDS:] or "nothing"
        return f"{shlex.join(command)} in the container {container.name} ended with {status} and said: {words}"
