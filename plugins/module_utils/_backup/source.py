# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is restored: a backup of the store, or an archive made elsewhere."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, NamedTuple, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup.archive import Read, extract_archive, read_archive
from ansible_collections.steward.docker.plugins.module_utils._backup.compare import order
from ansible_collections.steward.docker.plugins.module_utils._backup.compress import NONE
from ansible_collections.steward.docker.plugins.module_utils._backup.entry import (
    DIRECTORY,
    Entry,
    decode,
    encode,
    path_of,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.lines import LineReader, LineWriter
from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import (
    Manifest,
    Subject,
    from_json,
    parse_time,
)
from ansible_collections.steward.docker.plugins.module_utils._errors import ArchiveError, StoreError
from ansible_collections.steward.docker.plugins.module_utils._names import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.steward.docker.plugins.module_utils._backup.store import Backup, Store

_LISTED = 5


class Source(NamedTuple):
    """An archive, with its manifest and index when it is a backup of the store."""

    archive: str
    manifest: Optional[Manifest] = None
    index_path: str = ""
    strip_components: int = 0
    subdir: str = ""

    @property
    def id(self) -> str:
        """The backup's ID, or the path of an archive made elsewhere."""
        return self.manifest.id if self.manifest else self.archive


def find_backup(store: Store, subject: Subject, wanted: str, at: Optional[str]) -> Backup:
    """Return the wanted backup (`latest` or an ID), or with `at` the newest made then or before.

    Raise StoreError that names what is there when it is not to be had.
    """
    backups = store.backups(subject)
    whole = [backup for backup in backups if backup.manifest and not backup.damage]
    if at is not None:
        try:
            moment = parse_time(at)
        except ValueError as error:
            raise StoreError(f"The option at is {at!r}, which is no time. Write it as 2026-11-23T15:16:00Z.") from error
        found = [backup for backup in whole if backup.manifest and parse_time(backup.manifest.created_at) <= moment]
        if found:
            return found[-1]
        raise StoreError(
            f"There is no backup of {subject} from {at} or before. {_what_is_there(store, subject, whole)}"
        )
    if wanted == "latest":
        if whole:
            return whole[-1]
        damaged = [backup.damage for backup in backups if backup.damage]
        rest = f"All {len(damaged)} are damaged: {damaged[-1]}" if damaged else _what_is_there(store, subject, whole)
        raise StoreError(f"There is no whole backup of {subject}. {rest}")
    for backup in backups:
        if backup.path.name == f"{wanted}.json":
            if backup.damage:
                raise StoreError(f"The backup {wanted} of {subject} is damaged: {backup.damage}")
            return backup
    left = [path.name for path in store.home(subject).glob(f"{wanted}.tar*")] if "/" not in wanted else []
    if left:
        raise StoreError(
            f"The backup {wanted} of {subject} has no manifest, so it cannot be proven whole. Its archive {left[0]} is in "
            f"{store.home(subject)}: name its path as backup to restore it all the same."
        )
    raise StoreError(f"There is no backup {wanted} of {subject}. {_what_is_there(store, subject, whole)}")


def _what_is_there(store: Store, subject: Subject, whole: list[Backup]) -> str:
    if whole:
        ids = [backup.manifest.id for backup in reversed(whole) if backup.manifest]
        more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
        return f"There are: {', '.join(ids[:_LISTED])}{more}."
    others = [other for other in store.hosts() if other != subject.host and store.whole(subject._replace(host=other))]
    if others:
        return f"The store {store.path} has some not of the host {subject.host} but of {', '.join(others)}: set host."
    return f"The store {store.path} has none under the host {subject.host}: check its name, store and host."


def source_of_backup(backup: Backup) -> Source:
    """Return the source that a whole backup is."""
    return Source(str(backup.archive_path), backup.manifest, str(backup.index_path))


def source_of_path(path: str, strip_components: int, subdir: str) -> Source:
    """Return the source that the path of an archive is; one that lies in a store has its manifest beside it."""
    archive = Path(path)
    if not archive.is_file():
        raise StoreError(f"There is no archive at {path}: no such file. Check the option backup.")
    manifest_path = archive.parent / f"{archive.name.split('.')[0]}.json"
    if manifest_path.is_file() and not (strip_components or subdir):
        manifest = from_json(manifest_path.read_bytes(), str(manifest_path))
        if manifest.archive["name"] == archive.name:
            return Source(path, manifest, str(archive.parent / manifest.index["name"]))
    return Source(path, None, "", strip_components, subdir.strip("/"))


class _Checked:
    """Holds the members of an archive against its index as they pass."""

    def __init__(self, lines: LineReader) -> None:
        self._lines = iter(lines)

    def __call__(self, entry: Entry) -> None:
        line = next(self._lines, None)
        if line != encode(entry):
            raise ArchiveError(f"its member {printable(entry.path) or '.'} is not as its index says.")

    def close(self) -> None:
        line = next(self._lines, None)
        if line is not None:
            raise ArchiveError(f"its member {printable(path_of(line))}, which its index has, is missing.")


def _proven(source: Source, found: Read, index_digest: str) -> None:
    """Raise ArchiveError when what was read is not what the manifest says."""
    manifest = source.manifest
    if manifest is None:
        return
    if found.sha256 != manifest.archive["sha256"]:
        raise ArchiveError(f"The archive {source.archive} is damaged: its SHA-256 is not the one in its manifest.")
    if index_digest != manifest.index["sha256"]:
        raise ArchiveError(f"The index {source.index_path} is damaged: its SHA-256 is not the one in the manifest.")


def extract(source: Source, destination: str) -> Read:
    """Extract the source into an empty directory, proving on the way that it is whole. Raise ArchiveError if not."""
    if not source.manifest:
        return extract_archive(
            source.archive,
            destination,
            lambda _entry: None,
            strip_components=source.strip_components,
            checksums=True,
            text_acls=verify(source).text_acls,
        )
    with LineReader(source.index_path) as lines:
        check = _Checked(lines)
        found = extract_archive(source.archive, destination, check)
        _end_of(check, source)
        _proven(source, found, lines.digest())
    return found


def verify(source: Source) -> Read:
    """Read the source to its end, proving that it is whole. Raise ArchiveError if not."""
    if not source.manifest:
        return read_archive(
            source.archive, lambda _entry: None, strip_components=source.strip_components, checksums=True
        )
    with LineReader(source.index_path) as lines:
        check = _Checked(lines)
        found = read_archive(source.archive, check)
        _end_of(check, source)
        _proven(source, found, lines.digest())
    return found


def _end_of(check: _Checked, source: Source) -> None:
    try:
        check.close()
    except ArchiveError as error:
        raise ArchiveError(f"The archive {source.archive} is refused: {error}") from error


@contextmanager
def index_of(source: Source, root: Optional[Entry]) -> Iterator[str]:
    """Yield the path of the source's index; of an archive made elsewhere one is made for the time, in memory first.

    `root` is what the root directory is now: an archive that says nothing of it leaves it so.
    """
    if source.manifest:
        yield source.index_path
        return
    found: dict[bytes, Entry] = {b"": root} if root else {}

    def note(entry: Entry) -> None:
        path = _placed(entry.path, source)
        if path is None:
            return
        target = entry.target
        if entry.type == "h":
            target = _placed(entry.target, source) or b""
        for above in _above(path):
            # What the archive leaves out is made by tar with the ordinary mode.
            found.setdefault(above, Entry(above, DIRECTORY, 0o755))
        found[path] = entry._replace(path=path, target=target)

    read_archive(source.archive, note, strip_components=source.strip_components, checksums=True)
    with NamedTemporaryFile(suffix=".index") as file:
        with open(file.name, "wb", buffering=0) as sink:
            writer = LineWriter(sink, NONE, {"archive": source.archive})
            for path in sorted(found, key=order):
                writer.add(found[path])
            writer.close()
        yield file.name


def _placed(path: bytes, source: Source) -> Optional[bytes]:
    """Return where a member comes to lie in the destination, None when it is left out."""
    parts = path.split(b"/") if path else []
    if source.strip_components:
        if len(parts) <= source.strip_components:
            return None
        parts = parts[source.strip_components :]
    if source.subdir:
        wanted = os.fsencode(source.subdir).split(b"/")
        if parts[: len(wanted)] != wanted:
            return None
        parts = parts[len(wanted) :]
    return b"/".join(parts)


def _above(path: bytes) -> list[bytes]:
    parts = path.split(b"/")[:-1]
    return [b"/".join(parts[: count + 1]) for count in range(len(parts))]


def coarse(line_or_entry: Entry) -> Entry:
    """Return an entry without what the engine's archive API loses, so that both sides can be compared."""
    return line_or_entry._replace(mtime_ns=line_or_entry.mtime_ns // 10**9 * 10**9, xattrs="")


def coarse_lines(lines: LineReader) -> Iterator[bytes]:
    """Return an index's lines without what the engine's archive API loses."""
    for line in lines:
        yield encode(coarse(decode(line)))
