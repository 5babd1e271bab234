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

_TOKENS = re.compile(r"\*\*/|\*\*|\*|\?|\[(?:![^]]+|[^]!][^]]*)\]|.", re.DOTALL)
_NOTHING = "(?!)"
_MEANINGS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _expression(glob: str) -> str:
    parts: list[str] = []
    for token in _TOKENS.findall(glob):
        if token in _MEANINGS:
            parts.append(_MEANINGS[token])
        elif len(token) > 1:
            parts.append(_set(token[1:-1]))
        else:
            parts.append(re.escape(token))
    return "".join(parts)


def _set(inside: str) -> str:
    inverted = inside.startswith("!")
    letters = "".join("-" if letter == "-" else re.escape(letter) for letter in inside[inverted:])
    expression = f"[{'^' if inverted else ''}{letters}]"
    try:
        re.compile(expression)
    except re.error:
        # A range in the wrong order has nothing in it.
        return _NOTHING
    return expression


class Excludes:
    """Globs that leave paths out. One without a slash matches a name at any depth; one with a slash, from the root."""

    def __init__(self, globs: Sequence[str]) -> None:
        """Prepare the globs."""
        anywhere = [_expression(glob.rstrip("/")) for glob in globs if "/" not in glob.rstrip("/")]
        anchored = [_expression(glob.strip("/")) for glob in globs if "/" in glob.rstrip("/")]
        alternatives = [f"(?:.*/)?(?:{'|'.join(anywhere)})"] if anywhere else []
        # What is below an excluded directory is excluded with it.
        whole = "|".join(alternatives + anchored)
        # Text, not bytes: a letter is one letter whatever bytes it takes. Stray bytes are surrogates on both sides.
        self._pattern = re.compile(f"(?:{whole})(?:/.*)?", re.DOTALL) if whole else None

    def __bool__(self) -> bool:
        return self._pattern is not None

    def match(self, path: bytes) -> bool:
        """Return whether the path, relative to the root, or a directory above it is excluded."""
        if self._pattern is None or not path:
            # The root itself is never left out.
            return False
        return self._pattern.fullmatch(os.fsdecode(path)) is not None
