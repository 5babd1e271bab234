# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the engine sees the same host as we do. A unix socket alone does not prove it."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def _peer_pid(socket_path: str) -> int:
    """Return the PID of the process that listens on the socket (0 when it is in another PID namespace)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(socket_path)
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def engine_pids(docker_host: str) -> list[int]:
    """Return the engine's process behind a unix socket; with socket activation every engine of this host."""
    if not docker_host.startswith("unix://"):
        return []
    try:
        pid = _peer_pid(docker_host[len("unix://") :])
    except OSError:
        return []
    if pid > 1 and _command(pid) != "systemd":
        return [pid]
    # systemd holds an activated socket, so the engine has to be found by its name.
    found = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return [candidate for candidate in found if _command(candidate) == "dockerd"]


def _same_namespace(kind: str, pids: list[int]) -> bool:
    try:
        mine = os.readlink(f"/proc/self/ns/{kind}")
        return bool(pids) and all(os.readlink(f"/proc/{pid}/ns/{kind}") == mine for pid in pids)
    except OSError:
        return False


def shares_mounts(docker_host: str) -> bool:
    """Return whether the engine's process is in our mount namespace, so that its host paths are ours."""
    return _same_namespace("mnt", engine_pids(docker_host))


def mount_points() -> dict[bytes, bytes]:
    """Return the file system type of every mount point in our mount namespace (proc(5), mountinfo)."""
    points: dict[bytes, bytes] = {}
    with open("/proc/self/mountinfo", "rb") as lines:
        for line in lines:
            before, _separator, after = line.partition(b" - ")
            # Space, tab, newline and backslash are octal escapes there.
            path = (
                before.split(b" ")[4].decode("unicode_escape").encode("latin-1")
                if b"\\" in before
                else before.split(b" ")[4]
            )
            points[path] = after.split(b" ", 1)[0]
    return points


def file_system_of(path: str, mounts: Mapping[bytes, bytes]) -> str:
    """Return the type of the file system that a path is on, out of what mount_points() found."""
    point = os.path.realpath(path)
    while os.fsencode(point) not in mounts and point != "/":
        point = os.path.dirname(point)
    return os.fsdecode(mounts.get(os.fsencode(point), b""))
