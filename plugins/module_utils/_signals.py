# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signals become exceptions, so that what a run stopped is started again on the way out."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Interrupted(BaseException):
    """A signal asked the run to end. No Exception, as KeyboardInterrupt is none: nobody who catches those goes on after it."""


class _State:
    """What is known of ending signals: how deep in protected blocks the run is, and the first signal that came."""

    depth = 0
    first = 0
    raised = False


def asked_to_end() -> bool:
    """Return whether a signal has asked the process to end: what can be left out then is."""
    return bool(_State.first)


def _raise_first() -> NoReturn:
    # Only once: what is cleaned up after it must not be torn apart by the next one.
    _State.raised = True
    raise Interrupted(signal.Signals(_State.first).name)


@contextmanager
def ending_signals_raise() -> Iterator[None]:
    """Raise Interrupted in the main thread, once, when a signal asks the process to end."""

    def note(number: int, _frame: object) -> None:
        _State.first = _State.first or number
        if not _State.depth and not _State.raised:
            _raise_first()

    before = {number: signal.signal(number, note) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold ending signals back until the block is done: for steps that belong together, and for putting things back.

    Blocking them in the kernel would not do: another thread takes them, and Python runs the handler here all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        # Handlers run in the main thread only.
        yield
        return
    _State.depth += 1
    try:
        yield
    finally:
        _State.depth -= 1
        if _State.first and not _State.depth and not _State.raised:
            _raise_first()
