# SPDX-License-Identifier: GPL-3.0-or-later
"""Results that ansible-core accepts."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from ansible_collections.steward.docker.plugins.module_utils._job import valid_utf8

_STRAY = os.fsdecode(b"caf\xe9")
_VALUES = {
    "plain": ("plain é 日本\n", "plain é 日本\n"),
    "stray byte": (_STRAY, r"caf\xe9"),
    "stray bytes": (os.fsdecode(b"\xff\xfe"), r"\xff\xfe"),
    "stray bytes that make a letter": ("\udcc3\udca9", "é"),
    "backslash": ("a\\xe9", "a\\xe9"),
    "list": ([_STRAY, 1], [r"caf\xe9", 1]),
    "tuple": ((_STRAY,), [r"caf\xe9"]),
    "key and value": ({_STRAY: {"a": [_STRAY]}}, {r"caf\xe9": {"a": [r"caf\xe9"]}}),
    "numbers and nothing": ([1, 1.5, True, None], [1, 1.5, True, None]),
    "empty": ({"a": [], "b": {}, "c": ""}, {"a": [], "b": {}, "c": ""}),
}


@pytest.mark.parametrize(("value", "valid"), _VALUES.values(), ids=_VALUES.keys())
def test_every_text_in_a_result_is_valid_utf8(value: Any, valid: Any) -> None:
    assert valid_utf8(value) == valid
    assert json.dumps(valid_utf8(value), ensure_ascii=False).encode("utf-8")
