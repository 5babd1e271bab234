# SPDX-License-Identifier: GPL-3.0-or-later
"""The long runs: signals at many moments, and very many files. `./dev soak` runs them."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from test_roundtrip import assert_equal

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Keeper, Slate

pytestmark = pytest.mark.soak

_TURNS = 25
_FILES = 300
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def _write(root: Path, word: str) -> None:
    """Let every file say the same word, so that a mixture shows."""
    for number in range(_FILES):
        (root / f"file{number}").write_text(f"{word} " * 2000)


def _word(root: Path) -> str:
    words = {path.read_text().split()[0] for path in root.iterdir()}
    assert len(words) == 1 and len(list(root.iterdir())) == _FILES, f"a mixture of {words}"
    return words.pop()


def _interrupt(keeper: Keeper, module: str, options: dict[str, Any], chance: random.Random) -> bool:
    """Run a module and send it a signal at some moment; return whether that came before its end."""
    process, result = keeper.modules.start(module, {**keeper.common, **options})
    pid = 0
    while not pid and process.poll() is None:
        with suppress(AssertionError):
            pid = keeper.modules.pid(module)
    time.sleep(chance.uniform(0, 0.8))
    with suppress(ProcessLookupError):
        os.kill(pid or process.pid, chance.choice(_SIGNALS))
    found = keeper.modules.finish(process, result)
    # Before it has begun, and once it is done, a signal ends the module without a word.
    assert not found.get("failed") or "Ended by" in found["msg"] or found.get("module_stdout") == "", found
    return bool(found.get("failed"))


@pytest.mark.parametrize("quiesce", ["pause", "stop"])
def test_a_backup_that_is_interrupted_at_any_moment(quiesce: str, keeper: Keeper, slate: Slate, store: Path) -> None:
    chance = random.Random(quiesce)
    slate.volume("data")
    root = slate.path("data")
    app = slate.service(name="app", volumes=["data:/data"])
    interrupted = 0
    for turn in range(_TURNS):
        _write(root, f"turn{turn}")
        options = {"volumes": ["data"], "quiesce": quiesce, "keep": {"last": 3}}
        interrupted += _interrupt(keeper, "volume_backup", options, chance)
        slate.wait_for(app, "running")
        assert [path.name for path in store.rglob(".*")] == []
        info = (
            keeper.modules.ok("backup_info", {**keeper.common, "verify": "full"}) if store.exists() else {"damaged": []}
        )
        assert info["damaged"] == []
    assert interrupted > _TURNS // 5
    keeper.backup("data")
    keeper.restore("data", to="copy")
    assert _word(slate.path("copy")) == f"turn{_TURNS - 1}"


def test_a_restore_that_is_interrupted_at_any_moment(keeper: Keeper, slate: Slate) -> None:
    chance = random.Random("restore")
    slate.volume("data")
    root = slate.path("data")
    _write(root, "kept")
    keeper.backup("data")
    app = slate.service(name="app", volumes=["data:/data"])
    interrupted = 0
    for turn in range(_TURNS):
        _write(root, f"turn{turn}")
        ended = _interrupt(keeper, "volume_restore", {"volume": "data"}, chance)
        interrupted += ended
        slate.wait_for(app, "running")
        word = _word(root)
        assert word in ("kept", f"turn{turn}")
        assert app.exec_run(["cat", "/data/file0"]).output.decode().split()[0] == word
        left = sorted(path.name for path in root.parent.iterdir() if "staging" in path.name)
        assert left == [] and (ended or word == "kept")
        if word == "kept":
            # What was replaced is there to be taken back.
            keeper.restore("data", undo=True)
            assert _word(root) == f"turn{turn}"
    assert interrupted > _TURNS // 5


def test_a_hundred_thousand_files_in_one_directory(keeper: Keeper, slate: Slate) -> None:
    slate.volume("data")
    root = slate.path("data")
    for number in range(100_000):
        (root / f"file {number}").write_bytes(b"%d" % number)
    row = keeper.backup("data")["backups"][0]
    assert row["files"] == 100_000
    keeper.restore("data", to="copy")
    assert_equal(root, slate.path("copy"))
    assert keeper.backup("data")["changed"] is False
