# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What changed in a tree while it was read: out of tar's words, and of the walk before against the index after."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Optional

from ansible_collections.steward.docker.plugins.module_utils._backup.compare import order, same_but_content
from ansible_collections.steward.docker.plugins.module_utils._backup.entry import decode, path_of
from ansible_collections.steward.docker.plugins.module_utils._names import printable

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

SHOWN = 20

CHANGED, VANISHED = "changed", "vanished"
_CLOSING = "tar: Exiting with failure status due to previous errors"
# What GNU tar says of a file that another process touches while it reads it. The last ones are of a name that has
# become something else between the look at it and its opening: tar never follows what it has not seen.
_WORDS = re.compile(
    r"tar: (.*): (?:(File removed before we read it)|file changed as we read it|File shrank by .*"
    r"|Cannot open: (?:Too many levels of symbolic links|Not a directory|No such device or address)"
    r"|Cannot readlink: Invalid argument)"
)
_ESCAPED = re.compile(r"\\([0-7]{3}|.)")
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _unescaped(name: str) -> bytes:
    """Return a path below the root out of a name as tar quotes it."""
    plain = _ESCAPED.sub(
        lambda found: chr(int(found[1], 8)) if len(found[1]) == 3 else _LETTERS.get(found[1], found[1]), name
    )
    path = plain.encode("latin-1", "replace").rstrip(b"/")
    return path[2:] if path.startswith(b"./") else path.lstrip(b".")


class Meanwhile:
    """The paths that changed and those that vanished: each is counted once, the first twenty of each are named."""

    def __init__(self) -> None:
        """Begin with none."""
        self.counts = {CHANGED: 0, VANISHED: 0}
        self.names: dict[str, list[str]] = {CHANGED: [], VANISHED: []}
        self._known: set[bytes] = set()

    def __bool__(self) -> bool:
        return bool(self._known)

    def __str__(self) -> str:
        """Return them in words: `2 entries changed (a, b)`."""
        parts = []
        for kind, count in self.counts.items():
            if count:
                more = ", ..." if count > 3 else ""
                entries = "1 entry" if count == 1 else f"{count} entries"
                parts.append(f"{entries} {kind} ({', '.join(self.names[kind][:3])}{more})")
        return " and ".join(parts)

    def add(self, kind: str, path: bytes) -> None:
        """Note one path."""
        if path in self._known:
            return
        self._known.add(path)
        self.counts[kind] += 1
        if len(self.names[kind]) < SHOWN:
            self.names[kind].append(printable(path) or ".")

    def hear(self, said: Iterable[str]) -> list[str]:
        """Note what tar said of files that changed; return what else it said."""
        rest: list[str] = []
        for line in said:
            found = _WORDS.fullmatch(line)
            if found:
                self.add(VANISHED if found[2] else CHANGED, _unescaped(found[1]))
            elif line != _CLOSING:
                rest.append(line)
        return rest

    def look_back(self, walk: Iterable[bytes], index: Iterable[bytes], mounted: Container[bytes]) -> None:
        """Note how the tree, as it was walked before it was read, differs from what was read of it.

        tar says nothing of what changed before it came there. Of what is `mounted` inside, only the index has a line.
        """
        for kind, path in _since(walk, index):
            if path not in mounted:
                self.add(kind, path)


def _alike(before: bytes, after: bytes) -> bool:
    """Return whether two lines say the same of an entry, as far as a walk and an index both know it."""
    one, other = before.split(b"\t"), after.split(b"\t")
    # Attributes are in both of directories only.
    return one[:7] == other[:7] and one[11:] == other[11:] and (one[0] != b"d" or one[10] == other[10])


def _since(walk: Iterable[bytes], index: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    lines = iter(index)
    after: Optional[bytes] = next(lines, None)
    for before in walk:
        if after is not None and _alike(before, after):
            after = next(lines, None)
            continue
        path = path_of(before)
        place = order(path)
        while after is not None and order(path_of(after)) < place:
            yield CHANGED, path_of(after)
            after = next(lines, None)
        if after is None or path_of(after) != path:
            yield VANISHED, path
            continue
        if not same_but_content(decode(before), decode(after)):
            yield CHANGED, path
        after = next(lines, None)
    while after is not None:
        yield CHANGED, path_of(after)
        after = next(lines, None)
