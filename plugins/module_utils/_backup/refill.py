# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two roads of a restore: a staged tree that changes places with the data, and the engine's archive API."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup import beside
from ansible_collections.steward.docker.plugins.module_utils._backup.archive import Read, members_of, plain_chunks
from ansible_collections.steward.docker.plugins.module_utils._backup.compare import Differences, compare
from ansible_collections.steward.docker.plugins.module_utils._backup.disk import free_bytes, syncfs
from ansible_collections.steward.docker.plugins.module_utils._backup.journal import FILES, Journal
from ansible_collections.steward.docker.plugins.module_utils._backup.lines import LineReader
from ansible_collections.steward.docker.plugins.module_utils._backup.root_place import (
    take_label,
    take_owner_and_mode,
    take_project,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.saved_walk import SavedWalk, WalkKey
from ansible_collections.steward.docker.plugins.module_utils._backup.source import (
    Source,
    coarse,
    coarse_lines,
    extract,
    index_of,
    verify,
)
from ansible_collections.steward.docker.plugins.module_utils._backup.swap import Swapped, Swapper, probe_exchange
from ansible_collections.steward.docker.plugins.module_utils._backup.tree import Walk
from ansible_collections.steward.docker.plugins.module_utils._errors import ArchiveError, RefusedError, StewardError
from ansible_collections.steward.docker.plugins.module_utils._signals import uninterrupted

if TYPE_CHECKING:
    from ansible_collections.steward.docker.plugins.module_utils._backup.beside import Wrapper
    from ansible_collections.steward.docker.plugins.module_utils._backup.destination import Destination
    from ansible_collections.steward.docker.plugins.module_utils._backup.quiesce import Quiescence
    from ansible_collections.steward.docker.plugins.module_utils._engine import Engine

# What a file takes beside its content: an inode and a place in a directory.
_PER_FILE = 4096


class Outcome(NamedTuple):
    """What a restore did."""

    read: Read
    swapped: Swapped
    previous: str
    warnings: list[str]


def refuse_too_little_space(source: Source, destination: Destination) -> None:
    """Raise RefusedError when the backup would not fit beside the data that is there."""
    path = destination.road.path
    manifest = source.manifest
    if not path or manifest is None:
        return
    free = free_bytes(os.path.dirname(path))
    needed = manifest.allocated + _PER_FILE * (manifest.files + manifest.directories)
    if needed > free:
        raise RefusedError(
            f"The backup {manifest.id} needs about {needed} bytes beside the data of {destination}, and {free} are free: "
            "the old data stays until the new is whole. Free some space, or restore elsewhere with to."
        )


def restore_by_swap(
    source: Source, destination: Destination, key: Optional[WalkKey], swapper: Swapper, journal: Journal, *, keep: bool
) -> Outcome:
    """Extract beside the data, prove the archive whole, and let both change places. Nothing staged is left behind."""
    path = destination.road.path
    fresh = not os.path.lexists(path)
    wrapper = beside.staging(path)
    saved: Optional[SavedWalk] = None
    kept = ""
    warnings: list[str] = []
    try:
        journal.begin(FILES, path, beside_path=path)
        beside.stage(path)
        if not fresh:
            # What is made in it inherits both.
            take_project(path, str(wrapper.tree))
            take_label(path, str(wrapper.tree))
        read = extract(source, str(wrapper.tree))
        _promote(wrapper, source)
        if not fresh and not source.subdir and (read.root is None or source.strip_components):
            take_owner_and_mode(path, str(wrapper.tree))
        syncfs(str(wrapper.tree))
        if key is not None and source.manifest is not None:
            saved = SavedWalk(key, source.manifest.id, time.time_ns())
            saved.write(Walk(str(wrapper.tree)))
        if fresh:
            os.rename(wrapper.tree, path)
            syncfs(os.path.dirname(path))
            swapped = Swapped([], [])
        else:
            probe_exchange(wrapper)
            swapped = swapper.swap(wrapper)
        if saved is not None:
            saved.keep()
    except BaseException:
        # Whether it failed before the swap or after it: what was the data is not deleted.
        beside.leave(wrapper, path, {"backup": source.id})
        journal.end(FILES, path)
        raise
    finally:
        if saved is not None:
            saved.drop()
    with uninterrupted():
        if keep and not fresh:
            kept = str(beside.keep_as_previous(wrapper, path, {"backup": source.id}).tree)
        elif not beside.remove_with_earlier(wrapper, path):
            warnings.append(f"The old data of {destination} is still mounted by a process; a later run removes it.")
        journal.end(FILES, path)
    return Outcome(read, swapped, kept, warnings)


def _promote(wrapper: Wrapper, source: Source) -> None:
    """Let the asked directory of an archive made elsewhere be the tree."""
    if not source.subdir:
        return
    wanted = wrapper.tree / source.subdir
    if not wanted.is_dir() or wanted.is_symlink():
        raise ArchiveError(f"The archive {source.archive} has no directory {source.subdir}. Check the option subdir.")
    aside = wrapper.path / "rest"
    os.rename(wanted, wrapper.path / "wanted")
    os.rename(wrapper.tree, aside)
    os.rename(wrapper.path / "wanted", wrapper.tree)
    beside.note_staged(wrapper)


def refuse_filled(engine: Engine, destination: Destination) -> None:
    """Raise RefusedError unless a volume that is reached through the engine is empty."""
    with engine.helper(**destination.handle) as helper:
        for entry in members_of(engine.read_tree(helper)):
            if entry.path:
                raise RefusedError(
                    f"{destination} is reached only through the engine ({destination.road.reason}), which can fill an "
                    "empty volume but not replace what is in one. Restore into another volume with to."
                )


def differences_by_engine(engine: Engine, source: Source, destination: Destination) -> Differences:
    """Return what differs between a volume, read through the engine, and the source, as far as that road tells."""
    with engine.helper(**destination.handle) as helper, index_of(source, None) as index, LineReader(index) as lines:
        members = (coarse(entry) for entry in members_of(engine.read_tree(helper)))
        return compare(members, coarse_lines(lines), lambda _entry: False)


def restore_by_engine(engine: Engine, source: Source, destination: Destination, quiescence: Quiescence) -> Outcome:
    """Fill an empty volume through the engine's archive API, with those who use it stopped, and compare the result."""
    if source.strip_components or source.subdir:
        raise RefusedError(
            f"{destination} is reached only through the engine, where strip_components and subdir cannot be honoured."
        )
    read = verify(source)
    refuse_filled(engine, destination)
    try:
        with quiescence, engine.helper(**destination.handle, read_only=False) as helper:
            _fill(engine, helper, source, destination)
            differences = differences_by_engine(engine, source, destination)
    finally:
        quiescence.release()
    if quiescence.failures:
        raise StewardError(" ".join(quiescence.failures))
    if differences:
        names = ", ".join(
            (differences.names["changed"] + differences.names["removed"] + differences.names["added"])[:3]
        )
        raise StewardError(
            f"{destination} was filled through the engine and is not as the backup {source.id}: {differences} ({names})."
        )
    return Outcome(read, Swapped(quiescence.held, []), "", [])


def _fill(engine: Engine, helper: str, source: Source, destination: Destination) -> None:
    try:
        engine.write_tree(helper, plain_chunks(source.archive, lambda _entry: None))
    except StewardError as error:
        raise StewardError(
            f"{destination} was being filled through the engine when that failed, and holds a part of the backup {source.id}: "
            f"{error} Empty it, and run the restore again."
        ) from error


def result_of(outcome: Outcome, source: Source, destination: Destination) -> dict[str, Any]:
    """Return what the module reports as restored."""
    name = "volume" if destination.kind == "volumes" else "path"
    return {
        name: destination.name,
        "backup": source.id,
        "files": outcome.read.files,
        "size": outcome.read.size,
        "verified": True,
        "previous": outcome.previous,
    }
