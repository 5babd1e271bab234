# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the collection's main job on a real container and says what happened."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from demo.shop import CONTAINER, VOLUME, Shop  # noqa: E402  # only found once the path is set

STORE = Path("/var/backups/steward-demo")
ORDERS = 40
_RECAP = re.compile(r"^demo\s+: ok=\d+\s+changed=(\d+)\s+unreachable=0\s+failed=0 ", re.MULTILINE)


def step(text: str) -> None:
    """Say what comes next."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def playbook(name: str) -> tuple[int, float]:
    """Run a playbook of the collection as a user does; return how much it changed, and its seconds."""
    words = ["ansible-playbook", f"steward.docker.{name}", "-i", str(HERE / "inventory.yml"), "-e", "target=demo"]
    print(f"$ {' '.join(words)}", flush=True)
    began = time.monotonic()
    words[0] = str(Path(sys.executable).parent / words[0])
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout, end="", flush=True)
    recap = _RECAP.search(done.stdout)
    if done.returncode != 0 or recap is None:
        raise SystemExit(f"demo: the playbook {name} failed.")
    return int(recap.group(1)), time.monotonic() - began


def insist(truth: bool, problem: str) -> None:
    """End the demonstration when something is not as it has to be."""
    if not truth:
        raise SystemExit(f"demo: {problem}")


def newest() -> dict[str, Any]:
    """Return the newest backup's manifest, with the path of its archive."""
    directory = STORE / "demo" / "volumes" / VOLUME
    manifests = [json.loads(path.read_text()) for path in directory.glob("*.json")]
    found: dict[str, Any] = max(manifests, key=lambda manifest: int(manifest["sequence"]))
    return {**found, "path": str(directory / found["archive"]["name"])}


def run(shop: Shop) -> list[str]:
    """Go through the whole story; return what is to be said at the end."""
    step(f"1. A service, {CONTAINER}, takes {ORDERS} orders and keeps them in the volume {VOLUME}.")
    shop.open()
    shop.order(ORDERS)
    before = shop.orders()
    insist(len(before) == ORDERS, f"the service has {len(before)} orders and should have {ORDERS}.")
    print(f"{len(before)} orders are in the volume.")

    step("2. Back it up.")
    changed, _seconds = playbook("backup")
    backup = newest()
    insist(changed == 1, "the backup changed nothing.")

    step("3. Something goes wrong: half of the orders are deleted, the others overwritten.")
    shop.damage()
    damaged = shop.orders()
    insist(not set(damaged.items()) & set(before.items()), "the damage left something whole.")
    print(f"{len(damaged)} orders are left, and not one is what it was.")

    step("4. Restore it.")
    changed, seconds = playbook("restore")
    insist(changed == 1, "the restore changed nothing.")
    after = shop.orders()
    insist(after == before, "the restored orders are not those that were backed up.")
    insist(shop.answers() == str(ORDERS), "the service does not answer with its orders after the restore.")
    print(f"{len(after)} orders are back, each equal to what it was, and the service answers.")

    step("5. Back it up again: the data is as in the backup.")
    again, _seconds = playbook("backup")
    insist(again == 0, f"the second backup run changed {again}.")
    insist(newest()["id"] == backup["id"], "the second backup run made another backup.")

    held = sum(float(item["seconds"]) for item in backup["quiesced"])
    return [
        f"backed up   {backup['files']} files, {backup['size']} bytes; the service was paused for {held:.2f} s",
        f"damaged     {ORDERS // 2} orders deleted, the others overwritten",
        f"restored    {len(after)} of {ORDERS} orders, equal to the byte, in {seconds:.1f} s; the service runs on them",
        "second run  changed=0: nothing was written and nobody was paused",
        "",
        f"The backups are kept in {STORE}. Without any of this software, as root:",
        f"  zstd -dc {backup['path']} | tar -tv" if backup["path"].endswith(".zst") else f"  tar -tvf {backup['path']}",
        "The container, its volume and its image are removed again.",
    ]


def main() -> None:
    """Run the demonstration and clean up after it in every outcome."""
    os.environ["ANSIBLE_NOCOWS"] = "1"
    shop = Shop()
    # Not the machine's own: what is remembered of the demonstration ends with it.
    with TemporaryDirectory() as state:
        os.environ["STEWARD_STATE_DIR"] = state
        try:
            summary = run(shop)
        finally:
            shop.close()
    step("What happened")
    print("\n".join(f"  {line}" if line else "" for line in summary))


if __name__ == "__main__":
    main()
