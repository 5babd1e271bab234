# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks by name, and the action group."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lab.modules import ANSIBLE_PLAYBOOK

if TYPE_CHECKING:
    from conftest import Slate


def _run(tmp_path: Path, playbook: str, *words: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run a playbook on one host, this machine, with variables as group_vars have them."""
    known = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **variables}
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": {"shop1": {}}, "vars": known}}))
    return subprocess.run(
        [ANSIBLE_PLAYBOOK, "-i", inventory, *words, playbook],
        env={**os.environ, "STEWARD_STATE_DIR": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def variables(slate: Slate, store: Path) -> dict[str, Any]:
    """Return what the fleet's group_vars would say, with a volume to back up."""
    slate.volume("data")
    (slate.path("data") / "page").write_text("one")
    return {"steward_engine": {"docker_host": slate.engine.url}, "steward_store": str(store), "steward_become": False}


def test_one_variable_gives_every_module_its_engine(
    variables: dict[str, Any], slate: Slate, store: Path, tmp_path: Path
) -> None:
    done = _run(tmp_path, "steward.docker.backup", **variables)
    assert done.returncode == 0, done.stdout
    # A host's backups are kept under its name in the inventory.
    assert len(list(store.glob("shop1/volumes/data/*.tar.zst"))) == 1
    (slate.path("data") / "page").write_text("two")
    done = _run(tmp_path, "steward.docker.restore", "-e", "target=shop1", **variables, restore_volume="data")
    assert done.returncode == 0, done.stdout
    assert (slate.path("data") / "page").read_text() == "one"


@pytest.mark.parametrize("words", [[], ["--check"]], ids=["run", "check"])
def test_restore_insists_on_a_target(words: list[str], variables: dict[str, Any], slate: Slate, tmp_path: Path) -> None:
    done = _run(tmp_path, "steward.docker.restore", *words, **variables, restore_volume="data")
    assert done.returncode != 0
    assert "-e target=HOST_OR_GROUP" in done.stdout


def test_check_and_diff_show_the_plan_and_change_nothing(
    variables: dict[str, Any], slate: Slate, store: Path, tmp_path: Path
) -> None:
    assert _run(tmp_path, "steward.docker.backup", **variables).returncode == 0
    (slate.path("data") / "page").write_text("two")
    (slate.path("data") / "more").write_text("more")
    before = sorted(store.rglob("*"))
    done = _run(tmp_path, "steward.docker.backup", "--check", "--diff", **variables)
    assert done.returncode == 0 and "changed=1" in done.stdout
    assert "more" in done.stdout and "page" in done.stdout
    assert sorted(store.rglob("*")) == before
    done = _run(
        tmp_path, "steward.docker.restore", "--check", "--diff", "-e", "target=all", **variables, restore_volume="data"
    )
    assert done.returncode == 0 and "changed=1" in done.stdout
    assert (slate.path("data") / "page").read_text() == "two"


def test_a_role_refuses_a_variable_of_the_wrong_kind(variables: dict[str, Any], tmp_path: Path) -> None:
    done = _run(tmp_path, "steward.docker.backup", **variables, backup_quiesce="freeze")
    assert done.returncode != 0
    assert "backup_quiesce" in done.stdout and "pause" in done.stdout


def test_the_example_inventory_is_one(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "docs/examples/inventory"
    listed = subprocess.run(
        [ANSIBLE_PLAYBOOK.with_name("ansible-inventory"), "-i", example, "--list"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(listed.stdout)
    assert found["docker_hosts"]["children"] or found["docker_hosts"]["hosts"]
    assert listed.stderr == ""
    # Every variable that it sets is one that a role or playbook knows.
    known = set()
    root = Path(__file__).parents[2]
    for path in [*root.glob("roles/*/defaults/main.yml"), *root.glob("playbooks/*.yml")]:
        known |= {word for word in path.read_text().replace("(", " ").replace("{", " ").split() if "_" in word}
    names = {name for variables in found["_meta"]["hostvars"].values() for name in variables}
    unknown = {name for name in names if not name.startswith("ansible_") and not any(name in word for word in known)}
    assert unknown == set()
