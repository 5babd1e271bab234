# SPDX-License-Identifier: GPL-3.0-or-later
"""Lengths of time in options and messages."""

from __future__ import annotations

import pytest

from ansible_collections.steward.docker.plugins.module_utils._durations import seconds_of, spoken
from ansible_collections.steward.docker.plugins.module_utils._errors import StewardError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("90s", 90),
        ("45m", 2700),
        ("26h", 93600),
        ("2d", 172800),
        ("4w", 2419200),
        (" 2d ", 172800),
        ("007m", 420),
    ],
)
def test_a_length_of_time_is_read(text: str, seconds: int) -> None:
    assert seconds_of(text, "max_age") == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "d", "2 d", "2D", "2y", "-1h", "+1h", "1.5h", "1h30m", "2d\nx", "1e3", "two"]
)
def test_anything_else_is_refused_with_the_options_name(text: str) -> None:
    with pytest.raises(StewardError, match=r"The option max_age is .*, which is no length of time"):
        seconds_of(text, "max_age")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.9, "0 s"),
        (45, "45 s"),
        (60, "1 m"),
        (61, "1 m 1 s"),
        (3599, "59 m 59 s"),
        (3600, "1 h"),
        (3601, "1 h 1 s"),
        (93600, "1 d 2 h"),
        (93661, "1 d 2 h"),
        (183_600.5, "2 d 3 h"),
        (604800, "1 w"),
        (8 * 86400, "1 w 1 d"),
        (100 * 604800, "100 w"),
    ],
)
def test_a_length_of_time_is_said_in_its_largest_units(seconds: float, text: str) -> None:
    assert spoken(seconds) == text
