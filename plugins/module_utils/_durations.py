# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lengths of time as people write them in options."""

from __future__ import annotations

import re

from ansible_collections.steward.docker.plugins.module_utils._errors import StewardError

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d+)([smhdw]?)")


def seconds_of(text: str, option: str) -> int:
    """Return the seconds in `90`, `45m`, `26h`, `2d` or `4w`. Raise StewardError naming the option for anything else."""
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise StewardError(
            f"The option {option} is {text!r}, which is no length of time. Write a number and one of s, m, h, d, w, "
            "for example 26h or 2d."
        )
    return int(found.group(1)) * _SECONDS[found.group(2)]


def spoken(seconds: float) -> str:
    """Return a length of time in its one or two largest units, as a person says it: `2 d 3 h`, `45 s`."""
    left = int(seconds)
    parts: list[str] = []
    for unit in "wdhms":
        amount, left = divmod(left, _SECONDS[unit])
        if amount:
            parts.append(f"{amount} {unit}")
    return " ".join(parts[:2]) or "0 s"
