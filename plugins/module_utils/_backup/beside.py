# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Trees beside the data: one that is staged, the previous one that a restore replaced, one that waits for removal.

Each is the directory `tree` in a wrapper that only root may enter, in the data's own parent directory, so that it is on
the same file system and can change places with the data in one step:

    .steward-staging-<owner>@<name>      being extracted; the owner is a process
    .steward-previous-<time>@<name>      replaced by a restore, kept for undo
    .steward-removed-<time>@<name>       not needed any more: being removed, or still mounted by a process
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ansible_collections.steward.docker.plugins.module_utils._errors import TreeError
from ansible_collections.steward.docker.plugins.module_utils._process import ProcessIdentity, myself, provably_dead
from ansible_collections.steward.docker.plugins.module_utils._signals import uninterrupted
from ansible_collections.steward.docker.plugins.module_utils._state import sync_directory, write_private

STAGING, PREVIOUS, REMOVED = "staging", "previous", "removed"
_NOTE = "note.json"


class Wrapper(NamedTuple):
    """A wrapper beside some data: what it is, and what it says of itself."""

    path: Path
    kind: str
    # The owner of a staging one, the time of the others.
    mark: str

    @property
    def tree(self) -> Path:
        """The tree in it."""
        return self.path / "tree"

    def note(self) -> dict[str, Any]:
        """Return what was noted of it; empty when nothing can be read."""
        try:
            found: dict[str, Any] = json.loads((self.path / _NOTE).read_bytes())
        except (OSError, ValueError):
            return {}
        return found


def wrappers(data: str) -> list[Wrapper]:
    """Return the wrappers beside some data, the oldest first of each kind."""
    parent, name = Path(data).parent, Path(data).name
    found: list[Wrapper] = []
    # By the part before the @: a mark with a number behind it is younger than one without.
    for entry in sorted(os.listdir(parent), key=lambda name: name.partition("@")[0]) if parent.is_dir() else []:
        front, _at, owner_of = entry.partition("@")
        for kind in (STAGING, PREVIOUS, REMOVED):
            prefix = f".steward-{kind}-"
            if front.startswith(prefix) and owner_of == name:
                found.append(Wrapper(parent / entry, kind, front[len(prefix) :]))
    return found


def _named(data: str, kind: str, mark: str) -> Wrapper:
    parent, name = Path(data).parent, Path(data).name
    return Wrapper(parent / f".steward-{kind}-{mark}@{name}", kind, mark)


def staging(data: str) -> Wrapper:
    """Return the staging wrapper of this process beside the data, there or not."""
    return _named(data, STAGING, str(myself()))


def stage(data: str) -> Wrapper:
    """Make an empty staging tree beside the data."""
    wrapper = staging(data)
    try:
        discard(wrapper)
        wrapper.path.mkdir(mode=0o700)
        wrapper.tree.mkdir(mode=0o700)
        note_staged(wrapper)
    except OSError as error:
        raise TreeError(f"Could not stage the backup beside {data}: {error.strerror}.") from error
    return wrapper


def note_staged(wrapper: Wrapper) -> None:
    """Note which inode is staged: by it a later run knows whether this tree and the data have changed places."""
    write_private(wrapper.path / _NOTE, json.dumps({"staged": wrapper.tree.stat().st_ino}).encode())


def keep_as_previous(wrapper: Wrapper, data: str, note: dict[str, Any]) -> Wrapper:
    """Turn a wrapper whose tree was replaced into the previous one of the data; earlier ones are removed."""
    earlier = [found for found in wrappers(data) if found.kind == PREVIOUS]
    # What was staged stays noted until the wrapper has its name: until then a later run has to know it by that.
    known = {**note, **wrapper.note(), "replaced_at": int(time.time()), "tree": wrapper.tree.stat().st_ino}
    write_private(wrapper.path / _NOTE, json.dumps(known).encode())
    kept = _named(data, PREVIOUS, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
    if kept.path.exists():
        kept = _named(data, PREVIOUS, f"{kept.mark}-{os.getpid()}")
    os.rename(wrapper.path, kept.path)
    sync_directory(kept.path.parent)
    for old in earlier:
        remove(old, data)
    return kept


def previous(data: str) -> Optional[Wrapper]:
    """Return the tree that the last restore replaced, or None."""
    found = [wrapper for wrapper in wrappers(data) if wrapper.kind == PREVIOUS and wrapper.tree.is_dir()]
    return found[-1] if found and not _undone(found[-1], data) else None


def _undone(wrapper: Wrapper, data: str) -> bool:
    """Return whether what was kept as previous is the data again, and the wrapper has what an undo was to remove."""
    tree = wrapper.note().get("tree")
    return tree is not None and os.path.isdir(data) and os.stat(data).st_ino == tree


def leave(wrapper: Wrapper, data: str, note: dict[str, Any]) -> Wrapper:
    """Clear away a staging wrapper whose restore did not end well; return what was cleared away or kept.

    Its tree is deleted only when it is the one that was staged: after the swap it is the data from before, and is kept.
    """
    staged = wrapper.note().get("staged")
    if staged is not None and wrapper.tree.is_dir() and wrapper.tree.stat().st_ino != staged:
        return keep_as_previous(wrapper, data, note)
    discard(wrapper)
    return wrapper


def discard(wrapper: Wrapper) -> None:
    """Delete a wrapper with its tree, whatever signal comes meanwhile."""
    if not os.path.lexists(wrapper.path):
        return
    with uninterrupted():
        shutil.rmtree(wrapper.path)


def remove(wrapper: Wrapper, data: str) -> bool:
    """Delete a wrapper unless a process still has its tree mounted; then it is only set aside. Return whether it went."""
    if wrapper.kind != REMOVED and os.path.lexists(wrapper.path):
        # In one step, so that no run finds the half of a previous tree and takes it for a whole one.
        aside = _named(data, REMOVED, f"{time.time_ns()}-{os.getpid()}")
        os.rename(wrapper.path, aside.path)
        wrapper = aside
    if mounted_somewhere(wrapper):
        return False
    discard(wrapper)
    return True


def remove_with_earlier(wrapper: Wrapper, data: str) -> bool:
    """Delete a wrapper and the previous ones: what they are previous to has gone with it. Return whether all went."""
    earlier = [found for found in wrappers(data) if found.kind == PREVIOUS]
    left = [found for found in (wrapper, *earlier) if not remove(found, data)]
    return not left


def mounted_somewhere(wrapper: Wrapper) -> bool:
    """Return whether any process has the tree, or something in it, mounted: the wrapper's name shows in its mounts."""
    wanted = os.fsencode(wrapper.path.name) + b"/tree"
    # As proc(5) escapes them, the backslash first.
    for letter, escape in ((b"\\", b"\\134"), (b" ", b"\\040"), (b"\t", b"\\011"), (b"\n", b"\\012")):
        wanted = wanted.replace(letter, escape)
    for pid in (name for name in os.listdir("/proc") if name.isdigit()):
        try:
            with open(f"/proc/{pid}/mountinfo", "rb") as lines:
                if any(wanted in line.split(b" ", 4)[3] for line in lines):
                    return True
        except (OSError, IndexError):
            # The process ended meanwhile.
            continue
    return False


def sweep(data: str, max_age: Optional[int] = None) -> list[str]:
    """Clear away what dead runs left beside the data, what waited for removal, and previous trees undone or over an age.

    A dead run's tree that had already changed places with the data is kept as the previous one.
    """
    swept: list[str] = []
    for wrapper in wrappers(data):
        if wrapper.kind == STAGING:
            owner = ProcessIdentity.parse(wrapper.mark)
            if owner is None or not provably_dead(owner):
                continue
            swept.append(str(leave(wrapper, data, {"backup": "unknown"}).path))
            continue
        old = max_age is not None and _age(wrapper) > max_age
        if (wrapper.kind == REMOVED or old or _undone(wrapper, data)) and remove(wrapper, data):
            swept.append(str(wrapper.path))
    return swept


def _age(wrapper: Wrapper) -> float:
    return time.time() - float(wrapper.note().get("replaced_at") or time.time())


def previous_trees(data: str) -> list[dict[str, Any]]:
    """Return what a person wants to know of the trees that restores left beside the data."""
    return [
        {
            "path": str(wrapper.tree),
            "replaced_at": wrapper.note().get("replaced_at"),
            "backup": wrapper.note().get("backup", ""),
        }
        for wrapper in wrappers(data)
        if wrapper.kind in (PREVIOUS, REMOVED)
    ]
