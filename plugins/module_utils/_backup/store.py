# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store: a directory of backups, shared by hosts. A backup is there once its manifest is, which comes last."""

from __future__ import annotations

import json
import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup.manifest import (
    BINDS,
    VOLUMES,
    Manifest,
    Subject,
    format_time,
    from_json,
)
from ansible_collections.steward.docker.plugins.module_utils._errors import StoreError
from ansible_collections.steward.docker.plugins.module_utils._names import escape_path, unescape_path
from ansible_collections.steward.docker.plugins.module_utils._signals import uninterrupted
from ansible_collections.steward.docker.plugins.module_utils._state import (
    Lock,
    dead_temporaries,
    open_private,
    private_directory,
    state_dir,
    sweep_temporaries,
    sync_directory,
    temporary_name,
    write_private,
    write_private_once,
)

if TYPE_CHECKING:
    from datetime import datetime

FORMAT = 1
IDENTITY = "steward-store.json"
_MEMORY_SECONDS = 60


class Backup(NamedTuple):
    """A backup in the store: its manifest's path and the manifest, or what is wrong with it."""

    path: Path
    manifest: Optional[Manifest]
    damage: str = ""

    @property
    def archive_path(self) -> Path:
        """The archive's path."""
        return self.path.parent / (self.manifest.archive["name"] if self.manifest else "")

    @property
    def index_path(self) -> Path:
        """The index's path."""
        return self.path.parent / (self.manifest.index["name"] if self.manifest else "")


class Draft:
    """A backup in the making. Nothing of it is listed before commit(); abort() leaves nothing."""

    def __init__(self, directory: Path, identifier: str, sequence: int, suffix: str, index_suffix: str) -> None:
        """Open its files under temporary names, which carry the owner's identity for the sweep."""
        self.id = identifier
        self.sequence = sequence
        self.archive_name = f"{identifier}.tar{suffix}"
        self.index_name = f"{identifier}.index{index_suffix}"
        self._directory = directory
        self._files: dict[str, BinaryIO] = {}
        try:
            self.archive = self._create(self.archive_name)
            self.index = self._create(self.index_name)
        except OSError as error:
            self.abort()
            raise StoreError(f"Could not write into the store at {directory}: {error.strerror}.") from error

    def _create(self, name: str) -> BinaryIO:
        # By its path and not by a descriptor, so that errors can name it.
        file = open(temporary_name(self._directory / name), "xb", buffering=0, opener=open_private)
        self._files[name] = file
        return file

    def commit(self, manifest: Manifest) -> Backup:
        """Bring the archive and the index onto the disk under their names, and then the manifest.

        The manifest waits under its temporary name before the others are renamed: by it the sweep knows what was
        half done, should the process end in between.
        """
        path = self._directory / f"{self.id}.json"
        with uninterrupted():
            try:
                for file in self._files.values():
                    os.fsync(file.fileno())
                with open(os.open(temporary_name(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(manifest.to_json())
                    file.flush()
                    os.fsync(file.fileno())
                sync_directory(self._directory)
                for name in self._files:
                    os.rename(temporary_name(self._directory / name), self._directory / name)
                sync_directory(self._directory)
                os.rename(temporary_name(path), path)
                sync_directory(self._directory)
            except OSError as error:
                self.abort()
                raise StoreError(
                    f"Could not finish the backup {self.id} in {self._directory}: {error.strerror}."
                ) from error
            self._close()
            self._files.clear()
        return Backup(path, manifest)

    def _close(self) -> None:
        for file in self._files.values():
            file.close()

    def abort(self) -> None:
        """Remove what was written. Does nothing after commit()."""
        self._close()
        for name in [*self._files, f"{self.id}.json"] if self._files else []:
            temporary_name(self._directory / name).unlink(missing_ok=True)
            (self._directory / name).unlink(missing_ok=True)
        self._files.clear()


def _read_identity(path: Path) -> str:
    """Return the store's own ID. Raise StoreError when its file is not what it should be."""
    file = path / IDENTITY
    try:
        found = json.loads(file.read_bytes())
        if found["format"] != FORMAT:
            raise StoreError(f"The store {path} has the format {found['format']}; {FORMAT} is known here.")
        return str(found["id"])
    except FileNotFoundError:
        return ""
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"The file {file} is damaged: {error}. Put it back from another copy of the store.") from error
    except OSError as error:
        raise StoreError(f"Could not read the store {path}: {error.strerror}.") from error


class Store:
    """A directory of backups: `<store>/<host>/volumes/<name>/<id>.…`, `<store>/<host>/binds/<escaped path>/<id>.…`."""

    def __init__(self, path: Path, identifier: str) -> None:
        """Use open() or create()."""
        self.path = path
        self.id = identifier

    @classmethod
    def open(cls, path: str) -> Store:
        """Return the store at a path. Raise StoreError when there is none."""
        directory = cls._directory(path)
        identifier = _read_identity(directory)
        cls._refuse_other(directory, identifier)
        if not identifier:
            raise StoreError(
                f"The directory {path} is no store of backups: it has no {IDENTITY}. Check the option store, and that the "
                "file system it should be on is mounted."
            )
        return cls(directory, identifier)

    @classmethod
    def create(cls, path: str, *, pretend: bool = False) -> Store:
        """Return the store at a path, made when there is none; with `pretend` it is only looked at."""
        if not os.path.lexists(path):
            cls._refuse_other(Path(path).resolve(), "")
            if pretend:
                return cls(Path(path), "")
            private_directory(Path(path))
        directory = cls._directory(path)
        if not os.access(directory, os.W_OK | os.X_OK) or _read_only(directory):
            raise StoreError(f"The store {path} cannot be written to. Check who owns it and how it is mounted.")
        identifier = _read_identity(directory)
        cls._refuse_other(directory, identifier)
        if not identifier and not pretend:
            content = {"format": FORMAT, "id": str(uuid.uuid4()), "made_by": "steward.docker"}
            write_private_once(directory / IDENTITY, json.dumps(content, indent=2).encode() + b"\n")
            # Of several hosts that begin with the store at once, one has named it.
            identifier = _read_identity(directory)
        if not pretend:
            sweep_temporaries(directory)
            cls._remember(directory, identifier)
        return cls(directory, identifier)

    @staticmethod
    def _directory(path: str) -> Path:
        directory = Path(path)
        if not directory.exists():
            raise StoreError(f"There is no store at {path}: no such directory. Check the option store.")
        if not directory.is_dir():
            raise StoreError(f"The store {path} is a file. Set store to a directory.")
        if not os.access(directory, os.R_OK | os.X_OK):
            raise StoreError(f"The store {path} cannot be read by this user. Run the task with become: true.")
        return directory.resolve()

    @staticmethod
    def _remembered() -> dict[str, str]:
        with suppress(OSError, ValueError, AttributeError):
            found = json.loads((state_dir() / "stores.json").read_bytes())
            return {str(path): str(identifier) for path, identifier in found.items()}
        return {}

    @classmethod
    def _refuse_other(cls, directory: Path, identifier: str) -> None:
        """Refuse a known store that is not the one it was: most often its file system is not mounted."""
        before = cls._remembered().get(str(directory))
        if before and before != identifier:
            raise StoreError(
                f"The store at {directory} was {before} and is now {identifier or 'an unmarked directory'}. "
                f"Is its file system mounted? If the change is meant, remove its line from {state_dir() / 'stores.json'}."
            )

    @classmethod
    def _remember(cls, directory: Path, identifier: str) -> None:
        if cls._remembered().get(str(directory)) == identifier:
            return
        with Lock(("stores",), "what this host knows of stores", _MEMORY_SECONDS):
            known = {**cls._remembered(), str(directory): identifier}
            write_private(private_directory(state_dir()) / "stores.json", json.dumps(known, indent=2).encode() + b"\n")

    def home(self, subject: Subject) -> Path:
        """Return the directory of a subject's backups."""
        # A volume's name has no slash; that of an anonymous one, CONTAINER:DESTINATION, has.
        escaped = (
            escape_path(subject.name) if subject.kind == BINDS else subject.name.replace("%", "%25").replace("/", "%2F")
        )
        return self.path / escape_path(subject.host) / subject.kind / escaped

    def hosts(self) -> list[str]:
        """Return the names of the hosts that have backups here."""
        with os.scandir(self.path) as found:
            names = [item.name for item in found if item.is_dir(follow_symlinks=False)]
        # What else lies in a file system's root, lost+found for example, is no host.
        return sorted(path[1:] for path in map(_unescaped, names) if path)

    def subjects(self, host: str) -> list[Subject]:
        """Return what a host has backups of."""
        found: list[Subject] = []
        for kind in (VOLUMES, BINDS):
            directory = self.path / escape_path(host) / kind
            names = sorted(os.listdir(directory)) if directory.is_dir() else []
            for name in names:
                original = _unescaped(name) if kind == BINDS else name.replace("%2F", "/").replace("%25", "%")
                if original:
                    found.append(Subject(host, kind, original))
        return found

    def backups(self, subject: Subject) -> list[Backup]:
        """Return a subject's backups, the damaged ones first, then the oldest first by sequence."""
        directory = self.home(subject)
        if not directory.is_dir():
            return []
        names = sorted(name for name in os.listdir(directory) if name.endswith(".json") and not name.startswith("."))
        found = [self._load(directory / name) for name in names if not name.endswith(".drill.json")]
        return sorted(found, key=lambda backup: backup.manifest.sequence if backup.manifest else -1)

    @staticmethod
    def _load(path: Path) -> Backup:
        try:
            manifest = from_json(path.read_bytes(), str(path))
        except StoreError as error:
            return Backup(path, None, str(error))
        except OSError as error:
            return Backup(path, None, f"Could not read the manifest {path}: {error.strerror}.")
        backup = Backup(path, manifest)
        for what, file, size in (("archive", backup.archive_path, manifest.stored), ("index", backup.index_path, None)):
            try:
                length = file.stat().st_size
            except OSError:
                return Backup(path, manifest, f"The {what} {file} is missing.")
            if size is not None and length != size:
                return Backup(path, manifest, f"The {what} {file} has {length} bytes and should have {size}.")
        return backup

    def whole(self, subject: Subject) -> list[Manifest]:
        """Return the manifests of a subject's undamaged backups, the oldest first by sequence."""
        return [backup.manifest for backup in self.backups(subject) if backup.manifest and not backup.damage]

    def draft(self, subject: Subject, when: datetime, suffix: str, index_suffix: str) -> Draft:
        """Begin a backup of a subject, after sweeping what dead runs left there."""
        directory = private_directory(self.home(subject))
        self.sweep(subject)
        stamp = when.strftime("%Y%m%dT%H%M%SZ")
        taken = {name.split(".")[0] for name in os.listdir(directory)}
        identifier, number = stamp, 1
        while identifier in taken:
            number += 1
            identifier = f"{stamp}-{number}"
        sequences = [backup.manifest.sequence for backup in self.backups(subject) if backup.manifest]
        return Draft(directory, identifier, max(sequences, default=0) + 1, suffix, index_suffix)

    def rewrite(self, subject: Subject, manifest: Manifest) -> None:
        """Replace the manifest of a backup, as a whole."""
        try:
            write_private(self.home(subject) / f"{manifest.id}.json", manifest.to_json())
        except OSError as error:
            raise StoreError(
                f"Could not write the manifest of {manifest.id} of {subject}: {error.strerror}."
            ) from error

    def confirm(self, subject: Subject, manifest: Manifest, when: datetime) -> None:
        """Note that the subject still is as this backup has it."""
        manifest.confirmed_at = format_time(when)
        self.rewrite(subject, manifest)

    def remove(self, subject: Subject, manifest: Manifest) -> None:
        """Remove a backup; its manifest goes first, so that one that is half removed is not listed.

        Until the rest has gone it has a temporary name: by it the sweep knows what was half removed.
        """
        directory = self.home(subject)
        listed = directory / f"{manifest.id}.json"
        try:
            with suppress(FileNotFoundError):
                os.rename(listed, temporary_name(listed))
            sync_directory(directory)
            for name in (f"{manifest.id}.drill.json", manifest.index["name"], manifest.archive["name"]):
                (directory / name).unlink(missing_ok=True)
            temporary_name(listed).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"Could not remove the backup {manifest.id} of {subject}: {error.strerror}.") from error

    def sweep(self, subject: Subject) -> list[str]:
        """Remove what runs that are provably dead left of backups that were never finished; return its names."""
        directory = self.home(subject)
        swept: list[str] = []
        for path, unfinished in dead_temporaries(directory):
            identifier, _dot, suffix = unfinished.partition(".")
            if suffix == "json" and not (directory / unfinished).exists():
                for half in directory.glob(f"{identifier}.*"):
                    half.unlink(missing_ok=True)
                    swept.append(half.name)
            path.unlink(missing_ok=True)
            swept.append(path.name)
        return swept


def _unescaped(name: str) -> str:
    """Return the path that a directory's name stands for, "" when it is no escaped path."""
    path = unescape_path(name) if name.isascii() else ""
    return path if path and escape_path(path) == name else ""


def _read_only(directory: Path) -> bool:
    return bool(os.statvfs(directory).f_flag & os.ST_RDONLY)
