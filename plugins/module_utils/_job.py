# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One shape for every job: observe, plan, apply, report. Only this file turns an error into fail_json."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ansible.module_utils.basic import missing_required_lib
from ansible.module_utils.common.respawn import has_respawned, probe_interpreters_for_module, respawn_module

from ansible_collections.steward.docker.plugins.module_utils._engine import SDK_IMPORT_ERROR
from ansible_collections.steward.docker.plugins.module_utils._errors import StewardError
from ansible_collections.steward.docker.plugins.module_utils._signals import Interrupted, ending_signals_raise
from ansible_collections.steward.docker.plugins.module_utils._state import Lock, state_dir, sweep_temporaries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ansible.module_utils.basic import AnsibleModule

SYSTEM_INTERPRETERS = ["/usr/bin/python3", "/usr/libexec/platform-python"]


class Action(NamedTuple):
    """One intended action: on which object, by its exact ID, and why. `bytes` is what it is about, 0 if unknown."""

    kind: str
    id: str
    name: str
    action: str
    reason: str
    bytes: int = 0


class Difference(NamedTuple):
    """What diff mode shows of one object."""

    name: str
    before: str
    after: str

    def as_diff(self) -> dict[str, str]:
        """Return it in the form that ansible-core prints."""
        return {"before_header": self.name, "after_header": self.name, "before": self.before, "after": self.after}


class Report(NamedTuple):
    """What a job returns, whether or not anything was applied."""

    changed: bool
    result: dict[str, Any]
    warnings: list[str]
    differences: list[Difference]
    failures: list[str]


class Job(ABC):
    """A job. Leaving it lets go of the locks that it took."""

    def __init__(self, params: Mapping[str, Any], *, check_mode: bool) -> None:
        """Take the module's parameters, `lock_timeout` among them."""
        self._params = params
        self._check_mode = check_mode
        self._warnings: list[str] = []
        # What was done, or would be, about earlier runs that were killed.
        self.recovered: list[Action] = []
        self._locks = ExitStack()

    def __enter__(self) -> Job:
        """Return itself; locks are taken once it is known of what."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Let go of the locks."""
        self._locks.close()

    def _lock(self, objects: Mapping[tuple[str, ...], str]) -> None:
        """Take the locks of objects, whose words say what they are; in one order, so that no two runs wait for each other.

        What dead runs left unfinished in the host's state goes first.
        """
        for directory in (state_dir(), state_dir() / "walks"):
            sweep_temporaries(directory)
        # The data before the containers that use it: a message then names what was asked for.
        for parts in sorted(objects, key=lambda parts: ("container" in parts, parts)):
            self._locks.enter_context(Lock(parts, objects[parts], self._params["lock_timeout"]))

    @abstractmethod
    def observe(self) -> None:
        """Read the engine and the host, changing nothing."""

    @abstractmethod
    def plan(self) -> list[Action]:
        """Return the intended actions, out of what was observed and the options alone."""

    @abstractmethod
    def apply(self) -> None:
        """Carry out the plan and nothing else."""

    @abstractmethod
    def report(self) -> Report:
        """Return the result of what was planned or applied."""


def valid_utf8(value: Any) -> Any:
    r"""Return the value with every stray byte of every text as `\xNN`: ansible-core refuses a result with one."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {valid_utf8(key): valid_utf8(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [valid_utf8(item) for item in value]
    return value


def require_sdk(module: AnsibleModule, *, or_fail: bool = True) -> None:
    """Go on under an interpreter that has the Docker SDK; when there is none, fail by naming the package."""
    if SDK_IMPORT_ERROR is None:
        return
    if not has_respawned():
        interpreter = probe_interpreters_for_module(SYSTEM_INTERPRETERS, "docker")
        if interpreter:
            respawn_module(interpreter)
    if not or_fail:
        return
    module.fail_json(
        msg=missing_required_lib(
            "docker",
            reason="(package python3-docker on Debian, Ubuntu and Fedora, the same from EPEL on Rocky and RHEL, "
            "or `pip install docker` for ansible_python_interpreter)",
        ),
        exception=SDK_IMPORT_ERROR,
    )


def _fail(module: AnsibleModule, message: str, **facts: Any) -> NoReturn:
    module.fail_json(msg=valid_utf8(message), **valid_utf8(facts))
    raise AssertionError("fail_json returned")


def run_job(module: AnsibleModule, make: Callable[[], Job]) -> None:
    """Run a job to its end and leave through exit_json or fail_json."""
    require_sdk(module)
    try:
        with ending_signals_raise(), make() as job:
            job.observe()
            plan = job.recovered + job.plan()
            if not module.check_mode:
                job.apply()
            report = job.report()
    except StewardError as error:
        _fail(module, str(error), **error.facts)
    except Interrupted as error:
        _fail(module, f"Ended by {error}. What the run had paused or stopped was put back first.")
    for warning in report.warnings:
        module.warn(valid_utf8(warning))
    changed = report.changed or bool(job.recovered)
    result = valid_utf8({**report.result, "plan": [action._asdict() for action in plan], "changed": changed})
    if module._diff:
        result["diff"] = [valid_utf8(difference.as_diff()) for difference in report.differences]
    if report.failures:
        _fail(module, " ".join(report.failures), **result)
    module.exit_json(**result)


def run_query(module: AnsibleModule, query: Callable[[], tuple[dict[str, Any], list[str]]]) -> None:
    """Run a read-only question, which returns its result and its warnings, and leave through exit_json or fail_json.

    It can do without the SDK, and has to say what it could not tell then.
    """
    require_sdk(module, or_fail=False)
    try:
        with ending_signals_raise():
            result, warnings = query()
    except StewardError as error:
        _fail(module, str(error), **error.facts)
    except Interrupted as error:
        _fail(module, f"Ended by {error}.")
    for warning in warnings:
        module.warn(valid_utf8(warning))
    module.exit_json(changed=False, **valid_utf8(result))
