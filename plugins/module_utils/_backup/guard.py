# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judges an archive's members before they are extracted: nothing may be written outside of the destination."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.steward.docker.plugins.module_utils._backup import entry as kinds
from ansible_collections.steward.docker.plugins.module_utils._backup.tarstream import member_path
from ansible_collections.steward.docker.plugins.module_utils._errors import ArchiveError
from ansible_collections.steward.docker.plugins.module_utils._names import printable

if TYPE_CHECKING:
    from ansible_collections.steward.docker.plugins.module_utils._backup.entry import Entry


class Guard:
    """Refuses members that lead outside. Where a symbolic link points is not judged: nothing is written through one."""

    def __init__(self, strip_components: int = 0) -> None:
        """Judge names as they are once their first components are stripped."""
        self._strip = strip_components
        self._links: set[bytes] = set()

    def judge(self, entry: Entry) -> None:
        """Raise ArchiveError when the member must not be extracted. Its path is the name as the archive has it."""
        path = self._place(entry.path, entry.path)
        self._refuse_through_link(path, entry.path)
        is_link = entry.type == kinds.SYMLINK
        if entry.type == kinds.HARD_LINK:
            target = self._place(entry.target, entry.path)
            self._refuse_through_link(target, entry.path)
            # Another name of a symbolic link is one too.
            is_link = target in self._links
        if path in self._links and entry.type != kinds.SYMLINK:
            # A later member of the same name replaces the link, or would be written through it: not worth the doubt.
            raise ArchiveError(
                f"its member {printable(entry.path)} has the name of a symbolic link that came before it."
            )
        if is_link:
            self._links.add(path)

    def _place(self, name: bytes, member: bytes) -> bytes:
        if name.startswith(b"/"):
            raise ArchiveError(f"its member {printable(member)} has an absolute name.")
        parts = [part for part in member_path(name).split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise ArchiveError(f"its member {printable(member)} has .. in its name.")
        return b"/".join(parts[self._strip :])

    def _refuse_through_link(self, path: bytes, member: bytes) -> None:
        if not self._links:
            return
        end = path.find(b"/")
        while end >= 0:
            if path[:end] in self._links:
                raise ArchiveError(f"its member {printable(member)} would be written through a symbolic link.")
            end = path.find(b"/", end + 1)
