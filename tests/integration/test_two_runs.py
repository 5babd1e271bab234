# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs at once on one volume: the second waits, or says who is at work."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Keeper, Slate


def test_one_run_at_a_time(keeper: Keeper, slate: Slate, store: Path) -> None:
    slate.volume("data")
    (slate.path("data") / "big").write_bytes(os.urandom(60 << 20))
    app = slate.service(name="app", volumes=["data:/data"])
    asked = {**keeper.common, "volumes": ["data"]}
    # Compressing this takes long enough to come in between.
    first, first_result = keeper.modules.start("volume_backup", {**asked, "compression_level": 19})
    slate.wait_for(app, "paused")
    waiting, waiting_result = keeper.modules.start("volume_backup", asked)
    message = keeper.no_backup(volumes=["data"], lock_timeout=0)
    assert "Another run works on the volume data" in message and "lock_timeout" in message
    assert keeper.modules.finish(first, first_result)["changed"]
    # The one that waited finds the work done.
    assert keeper.modules.finish(waiting, waiting_result)["changed"] is False
    assert len(list(store.glob("here/volumes/data/*.tar.zst"))) == 1


def test_a_restore_waits_for_the_backup_of_the_same_data(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    (slate.path("data") / "page").write_text("one")
    keeper.backup("data")
    (slate.path("data") / "big").write_bytes(os.urandom(60 << 20))
    app = slate.service(name="app", volumes=["data:/data"])
    asked = {**keeper.common, "volumes": ["data"], "compression_level": 19}
    backup, result = keeper.modules.start("volume_backup", asked)
    slate.wait_for(app, "paused")
    message = keeper.no_restore(volume="data", lock_timeout=0)
    assert "Another run works on the volume data" in message
    assert slate.state(app)[0] == "paused"
    assert keeper.modules.finish(backup, result)["changed"]
    assert slate.state(app)[0] == "running"
