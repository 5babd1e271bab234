# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine can show in tests, measured, and what it lacks, by name."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

from lab.engine import LabError, run
from lab.loopfs import loop_file_system


def _file_system(name: str) -> bool:
    run("modprobe", name, check=False)
    return any(line.split()[-1] == name for line in Path("/proc/filesystems").read_text().splitlines())


def _sctp() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        return False
    return True


def _loop(kind: str, options: str = "") -> bool:
    with tempfile.TemporaryDirectory() as directory:
        try:
            with loop_file_system(Path(directory), 320, kind, options):
                return True
        except (LabError, FileNotFoundError):
            return False


def _exists(path: str) -> bool:
    return Path(path).exists()


def measure() -> dict[str, bool]:
    """Return each capability by name and whether the machine has it."""
    return {
        "NFS": _file_system("nfs"),
        "SCTP": _sctp(),
        "SELinux": _exists("/sys/fs/selinux/enforce"),
        "XFS with reflinks on a loop device": _loop("xfs"),
        "XFS project quotas": _loop("xfs", "prjquota"),
        "btrfs": _file_system("btrfs"),
        "systemd as the first process": _exists("/run/systemd/system"),
        "user namespaces": _exists("/proc/self/ns/user"),
        "AppArmor": _exists("/sys/kernel/security/apparmor"),
    }


def report() -> str:
    """Return the capabilities that the machine lacks, in one line."""
    lacking = [name for name, there in measure().items() if not there]
    return f"The lab lacks here: {', '.join(lacking) or 'nothing'}. Tests that need those work on tables."
