# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Globs on paths inside a tree."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_TOKENS = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^]]+\]|.", re.DOTALL)
_MEANINGS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _expression(glob: str) -> str:
    parts: list[str] = []
    for token in _TOKENS.findall(glob):
        if token in _MEANINGS:
            parts.append(_MEANINGS[token])
        elif len(token) > 1:
            parts.append("[" + ("^" if token[1] == "!" else "") + token[1:-1].lstrip("!").replace("\\", "\\\\") + "]")
        else:
            parts.append(re.escape(token))
    return "".join(parts)


class Excludes:
    """Globs that leave paths out. One without a slash matches a name at any depth; one with a slash, from the root."""

    def __init__(self, globs: Sequence[str]) -> None:
        """Prepare the globs."""
        anywhere = [_expression(glob) for glob in globs if "/" not in glob.strip("/")]
        anchored = [_expression(glob.strip("/")) for glob in globs if "/" in glob.strip("/")]
        alternatives = [f"(?:.*/)?(?:{'|'.join(anywhere)})"] if anywhere else []
        # What is below an excluded directory is excluded with it.
        whole = "|".join(alternatives + anchored)
        self._pattern = re.compile(os.fsencode(f"(?:{whole})(?:/.*)?"), re.DOTALL) if whole else None

    def __bool__(self) -> bool:
        return self._pattern is not None

    def match(self, path: bytes) -> bool:
        """Return whether the path, relative to the root, or a directory above it is excluded."""
        return self._pattern is not None and self._pattern.fullmatch(path) is not None
