# SPDX-License-Identifier: GPL-3.0-or-later
"""Small builders of what the tests talk about: containers, volumes, manifests, processes that are gone."""

from __future__ import annotations

import subprocess
from typing import Any

from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import Manifest, Subject
from ansible_collections.steward.docker.plugins.module_utils._engine import Container, Mount, Volume
from ansible_collections.steward.docker.plugins.module_utils._process import ProcessIdentity, myself, start_ticks

SUBJECT = Subject("web1", "volumes", "data")


def container(
    name: str,
    *mounts: Mount,
    state: str = "running",
    labels: dict[str, str] | None = None,
    network_mode: str = "bridge",
) -> Container:
    """Return a container, of which the ID is the name behind `id-`."""
    return Container(f"id-{name}", name, "image", state, labels or {}, mounts, network_mode)


def volume_mount(volume: str, destination: str = "/data", *, writable: bool = True) -> Mount:
    """Return a mount of a volume."""
    return Mount("volume", volume, f"/docker/volumes/{volume}/_data", destination, "local", writable)


def bind_mount(source: str, destination: str = "/data", *, writable: bool = True) -> Mount:
    """Return a mount of a host directory."""
    return Mount("bind", "", source, destination, "", writable)


def volume(name: str, **labels: str) -> Volume:
    """Return a volume; in the labels' keys a `__` stands for a dot."""
    keys = {key.replace("__", "."): value for key, value in labels.items()}
    return Volume(name, "local", f"/docker/volumes/{name}/_data", "2026-01-01T00:00:00Z", keys, {})


def compose(project: str, service: str = "", depends_on: str = "") -> dict[str, str]:
    """Return the labels that compose puts on a container."""
    labels = {"project": project, "service": service, "depends_on": depends_on}
    return {f"com.docker.compose.{key}": value for key, value in labels.items() if value}


def manifest(identifier: str = "20260101T000000Z", sequence: int = 1, **fields: Any) -> Manifest:
    """Return a manifest with sensible values for what is not given."""
    values: dict[str, Any] = {
        "id": identifier,
        "sequence": sequence,
        "created_at": "2026-01-01T00:00:00Z",
        "confirmed_at": "2026-01-01T00:00:00Z",
        "host": SUBJECT.host,
        "kind": SUBJECT.kind,
        "name": SUBJECT.name,
        "engine": {"id": "E", "name": "web1", "version": "27.0"},
        "archive": {"name": f"{identifier}.tar", "sha256": "0" * 64, "compression": "none", "bytes": 3},
        "index": {"name": f"{identifier}.index", "sha256": "0" * 64},
        "root": {"mode": "755", "uid": 0, "gid": 0},
        "files": 10,
        "directories": 1,
        "size": 1000,
        "allocated": 4096,
        "quiesce": "none",
        "road": "path",
    }
    return Manifest(**{**values, **fields})


def dead_process() -> ProcessIdentity:
    """Return the identity of a process of this boot that has ended and was reaped."""
    with subprocess.Popen(["sleep", "60"]) as process:
        identity = myself()._replace(pid=process.pid, start_ticks=start_ticks(process.pid) or 0)
        process.kill()
    return identity
