# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest of a backup: what it is of, how it was made, and what its files must be."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ansible_collections.steward.docker.plugins.module_utils._errors import StoreError

FORMAT = 1
VOLUMES, BINDS = "volumes", "binds"


class Subject(NamedTuple):
    """What a backup is of: the host it is kept under, its kind, and the volume's name or the directory's path."""

    host: str
    kind: str
    name: str

    def __str__(self) -> str:
        """Return it in words."""
        return f"the volume {self.name}" if self.kind == VOLUMES else f"the directory {self.name}"


@dataclass
class Manifest:
    """All that is known of a backup beside its content. Times are UTC, `2026-11-23T15:16:00Z`; sizes are bytes."""

    id: str
    sequence: int
    created_at: str
    confirmed_at: str
    host: str
    kind: str
    name: str
    # Of the engine: its ID, name and version.
    engine: dict[str, str]
    # The archive's and the index's file name and SHA-256; of the archive also its compression and bytes.
    archive: dict[str, Any]
    index: dict[str, Any]
    # The root directory's mode (octal digits), owner and group.
    root: dict[str, Any]
    files: int
    directories: int
    size: int
    # What the files take on a disk, less than their size where they have holes.
    allocated: int
    quiesce: str
    # "path" or "engine", and what the engine's road lost.
    road: str
    lost: list[str] = field(default_factory=list)
    # Of a volume: its driver, options, labels and time of creation.
    volume: dict[str, Any] = field(default_factory=dict)
    # Of an anonymous volume: the container and the destination it is known by.
    anonymous: dict[str, str] = field(default_factory=dict)
    group: str = ""
    quiesced: list[dict[str, Any]] = field(default_factory=list)
    consistent: bool = True
    # What changed and what vanished while the tree was read: how many, and the first of them by name.
    changed_files: int = 0
    changed_while_read: list[str] = field(default_factory=list)
    vanished_files: int = 0
    vanished_while_read: list[str] = field(default_factory=list)
    sockets: int = 0
    other_file_systems: list[str] = field(default_factory=list)
    exclude_paths: list[str] = field(default_factory=list)
    excluded: int = 0
    # How the engine maps the containers' users; "" when it does not.
    user_mapping: str = ""
    # Somebody said that this one is meant to be so much smaller than those before it.
    shrink_accepted: bool = False
    warnings: list[str] = field(default_factory=list)
    format: int = FORMAT

    @property
    def subject(self) -> Subject:
        """What the backup is of."""
        return Subject(self.host, self.kind, self.name)

    @property
    def stored(self) -> int:
        """The bytes of the archive."""
        return int(self.archive["bytes"])

    def to_json(self) -> bytes:
        """Return the manifest as it is written."""
        return json.dumps(asdict(self), indent=2, sort_keys=True).encode() + b"\n"


def from_json(data: bytes, path: str) -> Manifest:
    """Return the manifest that was written. Raise StoreError, which says why, when it is none."""
    try:
        found = json.loads(data)
        if not isinstance(found, dict):
            raise ValueError("it is no object")
        if found.get("format") != FORMAT:
            raise ValueError(f"its format is {found.get('format')}, and {FORMAT} is known here")
        known = {item.name for item in fields(Manifest)}
        manifest = Manifest(**{key: value for key, value in found.items() if key in known})
        for number in (manifest.sequence, manifest.files, manifest.size, manifest.archive["bytes"]):
            if not isinstance(number, int):
                raise ValueError("a number in it is none")
        parse_time(manifest.created_at)
        parse_time(manifest.confirmed_at)
        for name in (manifest.archive["name"], manifest.index["name"], manifest.id):
            if not isinstance(name, str) or "/" in name or name in ("", ".", ".."):
                raise ValueError("a file name in it leads elsewhere")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"The manifest {path} is damaged: {error}.") from error
    return manifest


def format_time(moment: datetime) -> str:
    """Return a time as manifests have it."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """Return the time that format_time() wrote, or one as people write it; UTC unless it says otherwise."""
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def now() -> datetime:
    """Return the present time, to the second."""
    return datetime.now(timezone.utc).replace(microsecond=0)
