# SPDX-License-Identifier: GPL-3.0-or-later
"""The module finds a Python that has the Docker SDK, or says what to install."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Keeper, Slate


def _has_sdk(python: str) -> bool:
    return subprocess.run([python, "-c", "import docker"], capture_output=True, check=False).returncode == 0


def test_goes_on_under_the_system_python(slate: Slate, keeper: Keeper, bare_python: str) -> None:
    assert not _has_sdk(bare_python)
    assert _has_sdk("/usr/bin/python3")
    slate.volume("shop")
    (slate.path("shop") / "data").write_text("kept")
    asked = {**keeper.common, "volumes": ["shop"]}
    first = keeper.modules.ok("volume_backup", asked, python=bare_python)
    assert first["changed"]
    (slate.path("shop") / "data").write_text("lost")
    keeper.modules.ok("volume_restore", {**keeper.common, "volume": "shop"}, python=bare_python)
    assert (slate.path("shop") / "data").read_text() == "kept"
    # What one Python left behind, another understands.
    assert keeper.backup("shop")["changed"] is False


def test_names_the_package_when_there_is_none(
    slate: Slate, keeper: Keeper, bare_python: str, without_sdk: tuple[str, ...]
) -> None:
    slate.volume("shop")
    asked = {**keeper.common, "volumes": ["shop"]}
    message = keeper.modules("volume_backup", asked, python=bare_python, wrapper=without_sdk)["msg"]
    assert "python3-docker" in message
    assert "pip install docker" in message
