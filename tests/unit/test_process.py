# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a process is, and whether it has ended for certain."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from builders import dead_process

from ansible_collections.steward.docker.plugins.module_utils._process import (
    ProcessIdentity,
    myself,
    provably_dead,
    start_ticks,
)


def test_an_identity_comes_back_from_its_text() -> None:
    assert ProcessIdentity.parse(str(myself())) == myself()


def test_an_identity_without_a_machine_comes_back_too() -> None:
    identity = ProcessIdentity("", "boot", 1, 2)
    assert ProcessIdentity.parse(str(identity)) == identity


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "m:b:1",
        "m:b:1:2:3",
        "m:b:x:2",
        "m:b:1:x",
        "m:b:-1:2",
        "m:b::2",
        "m:b:1.5:2",
        "m:b: 1:2",
        "m:b:²:2",
        "m:b:1:①",
    ],
)
def test_other_text_is_no_identity(text: str) -> None:
    assert ProcessIdentity.parse(text) is None


def test_the_own_identity_names_this_process() -> None:
    assert myself().pid == os.getpid()
    assert myself().start_ticks == start_ticks(os.getpid())


def test_a_process_with_brackets_in_its_name_has_a_start_time(tmp_path: Path) -> None:
    program = tmp_path / "a) b (c"
    shutil.copy(shutil.which("sleep") or "", program)
    with subprocess.Popen([program, "60"]) as process:
        ticks, named = start_ticks(process.pid), Path(f"/proc/{process.pid}/comm").read_text()
        process.kill()
    assert named == "a) b (c\n"
    assert ticks is not None
    assert ticks >= myself().start_ticks


def test_this_process_is_not_dead() -> None:
    assert not provably_dead(myself())


def test_a_living_child_is_not_dead_and_a_reaped_one_is() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        identity = myself()._replace(pid=process.pid, start_ticks=start_ticks(process.pid) or 0)
        alive = provably_dead(identity)
        process.kill()
    assert not alive
    assert provably_dead(identity)


_ME = myself()
_OTHERS = {
    "a reaped child": (dead_process(), True),
    "one whose number was used again": (_ME._replace(start_ticks=_ME.start_ticks - 1), True),
    "one of an earlier boot of a known machine": (ProcessIdentity("m", "earlier", _ME.pid, _ME.start_ticks), True),
    "one of another machine": (ProcessIdentity("other", "its own", 1, 1), False),
    "one of an unknown machine": (ProcessIdentity("", "its own", 1, 1), False),
}


@pytest.mark.parametrize(("identity", "dead"), _OTHERS.values(), ids=_OTHERS.keys())
def test_only_what_has_certainly_ended_is_dead(
    identity: ProcessIdentity, dead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Some machines, as containers often do, lack an ID of their own.
    me = _ME._replace(machine="m")
    monkeypatch.setitem(provably_dead.__globals__, "myself", lambda: me)
    assert provably_dead(identity) == dead


def test_without_an_own_machine_id_nothing_of_another_boot_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(provably_dead.__globals__, "myself", lambda: _ME._replace(machine=""))
    assert not provably_dead(ProcessIdentity("", "earlier", 1, 1))
