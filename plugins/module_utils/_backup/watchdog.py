# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process of its own that outlives a run which is killed, and ends at once what that left pending."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from ansible_collections.steward.docker.plugins.module_utils._backup.recovery import (
    Recovered,
    leave_word,
    recover_one,
)
from ansible_collections.steward.docker.plugins.module_utils._engine import Engine
from ansible_collections.steward.docker.plugins.module_utils._errors import EngineError
from ansible_collections.steward.docker.plugins.module_utils._signals import ENDING, uninterrupted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = b"steward-watch"
_PR_SET_NAME = 15
# How long it waits for an engine that does not answer, and for another run that holds the same container, in seconds.
_PATIENCE = 600
_POLL = 2.0


def start(journal: Path, params: Mapping[str, Any]) -> None:
    """Start the watchdog of this process's journal. It ends with this process, or soon after it.

    It has to be started while no other thread runs: only the forking thread goes on in the child.
    """
    with uninterrupted():
        # The end to write to is not inherited by programs that are started, and closed by the kernel with this process.
        reading, _writing = os.pipe()
        child = os.fork()
        if child:
            os.close(reading)
            os.waitpid(child, 0)
            return
        try:
            os.setsid()
            # Twice, so that it is init's child and nobody has to wait for it.
            if not os.fork():
                _watch(reading, journal, params)
        finally:
            os._exit(0)


def _watch(reading: int, journal: Path, params: Mapping[str, Any]) -> NoReturn:
    # What the parent had open is not to be closed by chance when its objects are collected here.
    gc.freeze()
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_NAME, NAME, 0, 0, 0)
    os.chdir("/")
    os.umask(0o077)
    reading = _keep_only(reading)
    # Nothing is ever written: the end of the pipe is the end of the run.
    os.read(reading, 1)
    # Whatever goes wrong, the journal is still there for the next run, and nobody listens here.
    with suppress(Exception):
        _recover(journal, params)
    os._exit(0)


def _keep_only(descriptor: int) -> int:
    """Close every descriptor but one, whose number is returned; the standard ones lead to /dev/null."""
    kept = os.dup2(descriptor, 3) if descriptor != 3 else 3
    for number in (int(name) for name in os.listdir("/proc/self/fd")):
        if number > kept:
            # The one by which the list was read is closed already.
            with suppress(OSError):
                os.close(number)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    return kept


def _recover(journal: Path, params: Mapping[str, Any]) -> None:
    recovered = Recovered()
    deadline = time.monotonic() + _PATIENCE
    while journal.exists() and time.monotonic() < deadline:
        # What could not be done the last time is tried again; what was done stays told.
        recovered.warnings.clear()
        try:
            engine = Engine(params)
            recover_one(engine, journal, recovered, pretend=False, lock_timeout=_PATIENCE)
        except EngineError:
            time.sleep(_POLL)
            continue
        if recovered.actions:
            leave_word(journal, engine, recovered)
        if journal.exists():
            time.sleep(_POLL)
