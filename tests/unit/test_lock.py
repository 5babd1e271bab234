# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks between processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ansible_collections.steward.docker.plugins.module_utils._errors import LockError
from ansible_collections.steward.docker.plugins.module_utils._state import Lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PARTS = ("volume", "data")
_HOLDER = """
import sys
from ansible_collections.steward.docker.plugins.module_utils._state import Lock
with Lock(("volume", "data"), "the volume data", 0):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def _held() -> Iterator[subprocess.Popen[str]]:
    """Let another process hold the lock until it reads a line or ends."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _HOLDER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def _try(parts: tuple[str, ...] = _PARTS, timeout: float = 0) -> None:
    with Lock(parts, "the volume data", timeout):
        pass


def test_a_second_holder_fails_and_names_the_first() -> None:
    with _held() as process, pytest.raises(LockError) as caught:
        _try(timeout=0.3)
    message = str(caught.value)
    assert message.startswith(f"Another run works on the volume data (process {process.pid}, since ")
    assert message.endswith("it did not end within 0.3 s. Wait for it, or set a longer lock_timeout.")


def test_a_second_holder_waits_as_long_as_it_may() -> None:
    began = time.monotonic()
    with _held(), pytest.raises(LockError):
        _try(timeout=0.4)
    assert time.monotonic() - began >= 0.4


def test_a_second_holder_gets_the_lock_once_the_first_lets_go() -> None:
    with _held() as process:
        assert process.stdin is not None
        timer = threading.Timer(0.3, process.stdin.close)
        timer.start()
        began = time.monotonic()
        _try(timeout=30)
        timer.join()
    assert time.monotonic() - began >= 0.3


def test_the_lock_of_a_holder_that_is_killed_is_free_at_once() -> None:
    with _held() as process:
        process.kill()
        process.wait()
        _try()


def test_other_objects_are_not_locked() -> None:
    with _held():
        _try(("volume", "other"))
        _try(("data", "volume"))


def test_a_lock_can_be_taken_again_and_also_after_an_error() -> None:
    lock = Lock(_PARTS, "the volume data", 0)
    with pytest.raises(RuntimeError), lock:
        raise RuntimeError
    with lock:
        pass
    _try()


def test_a_holder_in_the_same_process_is_another_one() -> None:
    with Lock(_PARTS, "the volume data", 0), pytest.raises(LockError, match=f"process {os.getpid()}"):
        _try()


def test_a_program_that_the_holder_started_does_not_keep_the_lock() -> None:
    with Lock(_PARTS, "the volume data", 0):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        _try()
    finally:
        child.kill()
        child.wait()


def test_a_holder_that_has_not_said_its_name_is_reported_too(state: Path) -> None:
    with Lock(_PARTS, "the volume data", 0):
        (file,) = (state / "locks").iterdir()
        file.write_bytes(b"")
        with pytest.raises(LockError, match=r"\(a process that has not said its name\)"):
            _try()


def test_only_the_owner_may_read_the_locks(state: Path) -> None:
    _try()
    modes = {path.name[-5:]: path.stat().st_mode & 0o777 for path in [state / "locks", *(state / "locks").iterdir()]}
    assert modes == {"locks": 0o700, ".lock": 0o600}
