# SPDX-License-Identifier: GPL-3.0-or-later
"""Every documented example is run as it stands, but for where its paths are."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from lab.modules import ANSIBLE_PLAYBOOK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Slate

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("roles/*/README.md"))]
MODULES = ["backup_info", "volume_backup", "volume_restore"]
JOBS = ["backup", "restore"]
HOST = "shop1"
DEFAULT_STORE = "/var/backups/docker"
# Prefixes of paths in the examples, and where the test has them, below its own directory.
MOVED = {DEFAULT_STORE: "default-store", "/mnt/backups": "other-store", "/srv": "srv"}
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """A documented example: plays, tasks, or the command line of a playbook."""

    id: str
    text: str
    kind: str


def _blocks(page: Path, language: str) -> list[str]:
    return [body for found, body in _BLOCK.findall(page.read_text()) if found == language]


def _of_module(name: str) -> list[Example]:
    """Return one example for each task; one that uses what others have registered has those before it."""
    module = importlib.import_module(f"ansible_collections.steward.docker.plugins.modules.{name}")
    tasks = yaml.safe_load(module.EXAMPLES)
    found: list[Example] = []
    for number, task in enumerate(tasks):
        text = json.dumps(task)
        needed = [other for other in tasks[:number] if other.get("register", "\0") in text]
        found.append(Example(f"{name}: {task['name']}", yaml.safe_dump([*needed, task], sort_keys=False), "tasks"))
    return found


def _of_page(page: Path) -> list[Example]:
    """Return the plays, the tasks and the command lines of a page."""
    name = str(page.relative_to(ROOT))
    found: list[Example] = []
    for text in _blocks(page, "yaml"):
        items = yaml.safe_load(text)
        if isinstance(items, list):
            kind = "plays" if "hosts" in items[0] else "tasks"
            found.append(Example(f"{name}: {items[0]['name']}", text, kind))
    for text in _blocks(page, "sh"):
        lines = [line for line in text.splitlines() if line.startswith("ansible-playbook ")]
        found += [Example(f"{name}: {line}", line, "command") for line in lines]
    return found


EXAMPLES = [example for name in MODULES for example in _of_module(name)] + [
    example for page in PAGES for example in _of_page(page)
]


class Shop:
    """The volumes, containers, directories and backups that the examples name."""

    def __init__(self, slate: Slate, scratch: Path) -> None:
        """Make what runs; nothing is backed up yet."""
        self.slate = slate
        self.scratch = scratch
        self.uploads = scratch / "srv/shop/uploads"
        self.uploads.mkdir(parents=True)
        self._number = 0
        for name in ("shop-data", "shop-db"):
            slate.volume(name, labels={"backup": "daily"})
        slate.service(name="shop-web", volumes=["shop-data:/data"])
        slate.service(name="shop-db", volumes=["shop-db:/db", f"{self.uploads}:/uploads", "/scratch"])
        mounts = slate.client.containers.get("shop-db").attrs["Mounts"]
        anonymous = next(mount["Name"] for mount in mounts if mount["Destination"] == "/scratch")
        # By the names that the examples give them.
        self.places = {
            "shop-data": slate.path("shop-data"),
            "shop-db": slate.path("shop-db"),
            "shop-db:/scratch": slate.path(anonymous),
            str(self.uploads): self.uploads,
        }
        (scratch / "inventory.yml").write_text(
            yaml.safe_dump({"docker_hosts": {"hosts": {HOST: {"ansible_connection": "local"}}}})
        )
        self.write("third")

    def write(self, content: str) -> None:
        """Give every place that content."""
        for place in self.places.values():
            (place / "page").write_text(content)

    def moved(self, text: str) -> str:
        """Return the text with its paths below the test's own directory."""
        return re.sub("|".join(MOVED), lambda found: str(self.scratch / MOVED[found.group()]), text)

    def run(self, *words: str) -> None:
        """Run ansible-playbook with what every example gets: the lab's engine, this Python, the store."""
        given = {"ansible_python_interpreter": sys.executable, "steward_store": self.moved(DEFAULT_STORE)}
        settings = {
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "DOCKER_HOST": self.slate.engine.url,
            "PATH": f"{ANSIBLE_PLAYBOOK.parent}:{os.environ['PATH']}",
            "STEWARD_STATE_DIR": str(self.scratch / "state"),
        }
        done = subprocess.run(
            [*words, "-e", json.dumps(given)],
            cwd=self.scratch,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout}{done.stderr}"

    def play(self, plays: list[dict[str, Any]]) -> None:
        """Run plays; the modules' default store is moved too."""
        self._number += 1
        store = {"store": self.moved(DEFAULT_STORE)}
        defaults = {f"steward.docker.{name}": store for name in MODULES}
        path = self.scratch / f"play{self._number}.yml"
        path.write_text(yaml.safe_dump([{"module_defaults": defaults, **play} for play in plays], sort_keys=False))
        self.run("ansible-playbook", "-i", "inventory.yml", str(path))

    def tasks(self, tasks: list[dict[str, Any]]) -> None:
        """Run tasks on the inventory's host."""
        self.play([{"hosts": "all", "gather_facts": False, "tasks": tasks}])

    def back_up(self) -> None:
        """Back everything up as `first`, long ago, and as `second`; leave `third` as the present content."""
        hosts = [{}, {"host": HOST}]
        stores = [{}, {"store": self.moved("/mnt/backups")}]
        common = {"all": True, "bind_mounts": True, "anonymous": True}
        tasks = [{"steward.docker.volume_backup": {**common, **host, **store}} for host in hosts for store in stores]
        self.write("first")
        self.tasks(tasks)
        for path in self.scratch.glob("*-store/*/*/*/*.json"):
            manifest = json.loads(path.read_text())
            path.write_text(json.dumps({**manifest, "created_at": "2020-01-01T00:00:00Z"}))
        self.write("second")
        self.tasks(tasks)
        self.write("third")

    def seed(self) -> None:
        """Empty the volume shop-data, and make an archive for it as people make them."""
        (self.places["shop-data"] / "page").unlink()
        (self.scratch / "srv/seed").mkdir()
        (self.scratch / "page").write_text("seed")
        with tarfile.open(self.scratch / "srv/seed/shop.tar.gz", "w:gz") as tar:
            tar.add(self.scratch / "page", "shop-1.0/page")

    def archives(self) -> set[Path]:
        """Return the archives of every store."""
        return {path for path in self.scratch.glob("*-store/*/*/*/*.tar*") if not path.name.startswith(".")}

    def content(self, name: str) -> str:
        """Return what a place has now."""
        place = self.places.get(name) or (Path(name) if name.startswith("/") else self.slate.path(name))
        return (place / "page").read_text()


@pytest.fixture
def shop(slate: Slate, tmp_path: Path) -> Iterator[Shop]:
    """Return a running shop."""
    found = Shop(slate, tmp_path)
    since = slate.now()
    yield found
    # Whatever an example does, everything runs afterwards.
    for name in ("shop-web", "shop-db"):
        assert slate.state(slate.client.containers.get(name))[0] == "running", slate.events(since)


class Asked(NamedTuple):
    """What an example asks for: a backup, a restore, or only to look; and with which options."""

    job: str
    options: dict[str, Any]


def _asked(example: Example, text: str) -> list[Asked]:
    """Return what an example asks for, in its order, however it says it."""
    if example.kind == "command":
        words = text.split()
        given = dict(word.split("=", 1) for flag, word in itertools.pairwise(words) if flag == "-e")
        return [_of_role(words[1].rpartition(".")[2], given)]
    items = yaml.safe_load(text)
    found: list[Asked] = []
    for task in items if example.kind == "tasks" else [task for play in items for task in play.get("tasks", [])]:
        found += [
            Asked(name.rpartition(".")[2], options)
            for name, options in task.items()
            if name.startswith("steward.docker.")
        ]
    for role in [role for play in items for role in play.get("roles", [])]:
        found.append(_of_role(role["role"].rpartition(".")[2], role.get("vars", {})))
    return found


def _of_role(name: str, variables: dict[str, Any]) -> Asked:
    prefix = f"{name}_"
    options = {key[len(prefix) :]: value for key, value in variables.items() if key.startswith(prefix)}
    return Asked(f"volume_{name}", options)


def _expected(options: dict[str, Any]) -> str:
    if options.get("undo"):
        return "third"
    if str(options.get("backup", "")).startswith("/"):
        return "seed"
    return "first" if "at" in options else "second"


def _looked_at(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the tasks and, where the last one only looks, one that looks at what it has found."""
    last = tasks[-1]
    if "steward.docker.backup_info" not in last:
        return tasks
    name = last.setdefault("register", "found")
    claims = [
        f"{name}.totals.subjects >= 4",
        f"{name}.totals.backups >= 8",
        f"{name}.damaged == []",
        f"{name}.previous == []",
    ]
    return [*tasks, {"ansible.builtin.assert": {"that": claims}}]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.id)
def test_runs(example: Example, shop: Shop) -> None:
    text = shop.moved(example.text)
    asked = _asked(example, text)
    assert asked, "it uses nothing of this collection"
    jobs = [item.job for item in asked]
    if jobs[0] != "volume_backup":
        shop.back_up()
    if asked[0].options.get("undo"):
        shop.tasks([{"steward.docker.volume_restore": {"volume": asked[0].options["volume"]}}])
        assert shop.content(asked[0].options["volume"]) == "second"
    if any(item.options.get("only_if") == "empty" for item in asked):
        shop.seed()
    before = shop.archives()
    match example.kind:
        case "command":
            shop.run(*text.split())
        case "plays":
            shop.play(yaml.safe_load(text))
        case _:
            shop.tasks(_looked_at(yaml.safe_load(text)))
    made = shop.archives() - before
    assert bool(made) == ("volume_backup" in jobs)
    store = next((item.options["store"] for item in asked if "store" in item.options), shop.moved(DEFAULT_STORE))
    assert all(path.is_relative_to(store) for path in made)
    if any(item.options.get("bind_mounts") for item in asked):
        assert {path.parents[1].name for path in made} == {"volumes", "binds"}
    restores = [item.options for item in asked if item.job == "volume_restore"]
    if restores and "volume_backup" not in jobs:
        last = restores[-1]
        assert shop.content(last.get("to") or last.get("volume") or last["path"]) == _expected(last)


def test_every_page_and_module_has_examples() -> None:
    names = {example.id.split(":")[0] for example in EXAMPLES}
    assert {*MODULES, "README.md", "docs/backup-and-restore.md", *(f"roles/{job}/README.md" for job in JOBS)} <= names
    assert len({example.id for example in EXAMPLES}) == len(EXAMPLES)


_ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)


def _shown_type(spec: dict[str, Any]) -> str:
    return f"list of {spec['elements']}" if spec["type"] == "list" else str(spec["type"])


@pytest.mark.parametrize("role", JOBS)
def test_a_role_has_the_variables_that_its_page_says(role: str) -> None:
    home = ROOT / "roles" / role
    specs = yaml.safe_load((home / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    defaults = yaml.safe_load((home / "defaults/main.yml").read_text())
    rows = {name: (kind, default) for name, kind, default, _meaning in _ROW.findall((home / "README.md").read_text())}
    assert list(rows) == list(specs) == list(defaults)
    assert {name: kind for name, (kind, _default) in rows.items()} == {
        name: _shown_type(spec) for name, spec in specs.items()
    }
    for name, spec in specs.items():
        if "default" in spec:
            assert yaml.safe_load(rows[name][1].strip("`")) == spec["default"] == defaults[name], name
        else:
            # What is worked out from other things is said in words.
            assert "{{" in defaults[name] and not rows[name][1].startswith("`{{"), name
