# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who a process is: PIDs are used again, so an identity is the boot, the PID and the start time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class ProcessIdentity(NamedTuple):
    """A process that cannot be taken for another one."""

    machine: str
    boot: str
    pid: int
    start_ticks: int

    def __str__(self) -> str:
        return f"{self.machine}:{self.boot}:{self.pid}:{self.start_ticks}"

    @classmethod
    def parse(cls, text: str) -> ProcessIdentity | None:
        """Return the identity that str() wrote, or None when the text is none."""
        parts = text.split(":")
        if len(parts) != 4 or not all(part.isascii() and part.isdecimal() for part in parts[2:]):
            return None
        return cls(parts[0], parts[1], int(parts[2]), int(parts[3]))


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def start_ticks(pid: int) -> int | None:
    """Return when the process started, in clock ticks since the boot (proc(5), field 22), or None when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The command name may contain anything, also ")": the fields begin after the last one.
    return int(stat.rpartition(b")")[2].split()[19])


def myself() -> ProcessIdentity:
    """Return the identity of this process."""
    pid = os.getpid()
    return ProcessIdentity(
        _first_line("/etc/machine-id"), _first_line("/proc/sys/kernel/random/boot_id"), pid, start_ticks(pid) or 0
    )


def provably_dead(identity: ProcessIdentity) -> bool:
    """Return whether the process has ended for certain; one of another machine never is."""
    me = myself()
    if identity.boot == me.boot:
        return start_ticks(identity.pid) != identity.start_ticks
    return bool(me.machine) and identity.machine == me.machine
