# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps every test away from the host's own state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a state directory of the test's own."""
    path = tmp_path / "steward-state"
    monkeypatch.setenv("STEWARD_STATE_DIR", str(path))
    return path


# No examples are kept between runs, and a busy machine fails no test.
settings.register_profile("steward", database=None, deadline=None)
settings.load_profile("steward")
