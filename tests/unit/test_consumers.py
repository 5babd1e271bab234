# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses a volume or a directory, and which share a writer."""

from __future__ import annotations

import os
from itertools import permutations
from typing import TYPE_CHECKING

import pytest
from builders import bind_mount, container, volume_mount

from ansible_collections.steward.docker.plugins.module_utils._backup.consumers import (
    Place,
    consumers,
    groups,
    lineage,
    overlookers,
    uses,
    writers,
)
from ansible_collections.steward.docker.plugins.module_utils._engine import Container, Mount

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Return a directory with a place in it, and others around."""
    for name in ("srv/place/below/deep", "srv/place2", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "srv" / "place" / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("srv/place")
    return tmp_path


def _place(top: Path) -> Place:
    path = str(top / "srv" / "place")
    return Place("data", path, lineage(path))


@pytest.mark.parametrize(
    ("source", "relation"),
    [
        ("srv/place", "same"),
        ("srv/place/", "same"),
        ("srv/../srv/place", "same"),
        ("link", "same"),
        ("srv/place/below", "below"),
        ("srv/place/below/deep", "below"),
        ("link/below", "below"),
        ("srv/place/file", "below"),
        ("srv", "above"),
        ("", "above"),
        ("srv/place2", ""),
        ("other", ""),
        ("missing", ""),
    ],
)
def test_a_mounted_directory_stands_to_the_place_as_the_inodes_say(top: Path, source: str, relation: str) -> None:
    user = container("c", bind_mount(os.path.join(top, source)))
    assert [use.relation for use in uses(_place(top), [user], {})] == ([relation] if relation else [])


def test_the_root_of_the_file_system_is_above(top: Path) -> None:
    assert [use.relation for use in uses(_place(top), [container("c", bind_mount("/"))], {})] == ["above"]


def test_a_volume_is_known_by_its_name_although_its_directory_is_not_seen() -> None:
    found = uses(Place("data"), [container("a", volume_mount("data")), container("b", volume_mount("data2"))], {})
    assert [(use.container.name, use.relation) for use in found] == [("a", "same")]


def test_a_volume_whose_directory_is_mounted_by_its_path_is_found(top: Path) -> None:
    other = Mount("volume", "other-name", str(top / "srv" / "place" / "below"), "/x", "local", writable=True)
    assert [use.relation for use in uses(_place(top), [container("c", other)], {})] == ["below"]


def test_a_directory_that_is_not_seen_is_known_by_its_path() -> None:
    found = uses(
        Place(path="/gone/a"), [container("a", bind_mount("/gone/a")), container("b", bind_mount("/gone"))], {}
    )
    assert [(use.container.name, use.relation) for use in found] == [("a", "same")]


@pytest.mark.parametrize("kind", ["tmpfs", "npipe", "image"])
def test_mounts_of_other_kinds_are_passed_over(top: Path, kind: str) -> None:
    assert uses(_place(top), [container("c", bind_mount(str(top / "srv" / "place"))._replace(kind=kind))], {}) == []


def test_two_mounts_of_one_relation_are_one_use_that_writes_when_either_does(top: Path) -> None:
    place = str(top / "srv" / "place")
    mounts = [bind_mount(place, "/a", writable=False), bind_mount(place, "/b"), bind_mount(place, "/c", writable=False)]
    for order in permutations(mounts):
        assert [use.writable for use in uses(_place(top), [container("c", *order)], {})] == [True]


def test_a_container_has_a_use_for_each_relation(top: Path) -> None:
    user = container("c", volume_mount("data"), bind_mount(str(top / "srv")), bind_mount(str(top / "link" / "below")))
    assert sorted(use.relation for use in uses(_place(top), [user], {})) == ["above", "below", "same"]


def test_directories_are_looked_up_once(top: Path) -> None:
    source = str(top / "srv" / "place")
    known: dict[str, tuple[tuple[int, int], ...]] = {source: ((0, 0),)}
    assert uses(_place(top), [container("c", bind_mount(source))], known) == []
    fresh: dict[str, tuple[tuple[int, int], ...]] = {}
    uses(_place(top), [container("c", bind_mount(source))], fresh)
    assert fresh == {source: lineage(source)}


def test_a_lineage_goes_from_the_directory_to_the_root(top: Path) -> None:
    found = lineage(str(top / "srv" / "place"))
    status, root = (top / "srv" / "place").stat(), os.stat("/")
    assert found[0] == (status.st_dev, status.st_ino)
    assert found[1:] == lineage(str(top / "srv"))
    assert found[-1] == (root.st_dev, root.st_ino)
    assert lineage(str(top / "link")) == found
    assert lineage(str(top / "missing")) == ()


_STATES = ["running", "restarting", "paused", "created", "exited", "dead"]
_ROLES = {
    # relation, writable: the states in which it writes, consumes, overlooks
    "same": ("srv/place", True, _STATES[:2], _STATES[:3], []),
    "same, read-only": ("srv/place", False, [], _STATES[:3], []),
    "below": ("srv/place/below", True, _STATES[:2], _STATES[:3], []),
    "below, read-only": ("srv/place/below", False, [], _STATES[:3], []),
    "above": ("srv", True, [], [], _STATES[:2]),
    "above, read-only": ("srv", False, [], [], []),
}


@pytest.mark.parametrize(("source", "writable", "write", "consume", "overlook"), _ROLES.values(), ids=_ROLES.keys())
def test_what_a_container_is_to_a_place_depends_on_its_state(
    top: Path, source: str, writable: bool, write: list[str], consume: list[str], overlook: list[str]
) -> None:
    users = [container(state, bind_mount(str(top / source), writable=writable), state=state) for state in _STATES]
    found = uses(_place(top), users, {})

    def names(containers: list[Container]) -> list[str]:
        return [item.name for item in containers]

    assert (names(writers(found)), names(consumers(found)), names(overlookers(found))) == (write, consume, overlook)


def test_who_writes_into_the_place_itself_does_not_overlook_it(top: Path) -> None:
    both = container("both", bind_mount(str(top / "srv")), bind_mount(str(top / "srv" / "place"), "/b"))
    reader = container(
        "reader", bind_mount(str(top / "srv")), bind_mount(str(top / "srv" / "place"), "/b", writable=False)
    )
    found = uses(_place(top), [both, reader], {})
    assert writers(found) == [both]
    assert overlookers(found) == [reader]


def test_a_container_with_two_uses_is_one_writer(top: Path) -> None:
    user = container("c", volume_mount("data"), bind_mount(str(top / "srv" / "place" / "below"), "/b"))
    found = uses(_place(top), [user], {})
    assert len(found) == 2
    assert writers(found) == consumers(found) == [user]


_GROUPS = {
    "none": ([], []),
    "one": (["a"], [[0]]),
    "without writers": (["", "", ""], [[0], [1], [2]]),
    "different writers": (["a", "b"], [[0], [1]]),
    "the same writer": (["a", "b", "a"], [[0, 2], [1]]),
    "through another": (["a", "b", "ab"], [[0, 1, 2]]),
    "through a chain": (["ab", "cd", "ef", "bc", "de"], [[0, 1, 2, 3, 4]]),
    "two groups": (["a", "b", "ax", "by", ""], [[0, 2], [1, 3], [4]]),
}


@pytest.mark.parametrize(("members", "grouped"), _GROUPS.values(), ids=_GROUPS.keys())
def test_members_that_share_a_writer_are_one_group(members: list[str], grouped: list[list[int]]) -> None:
    assert groups(members) == grouped


def test_groups_do_not_depend_on_the_order() -> None:
    members = ["ab", "bc", "d", "de", "f"]
    for order in permutations(range(len(members))):
        found = groups([members[index] for index in order])
        assert sorted(sorted(order[index] for index in group) for group in found) == [[0, 1], [2, 3], [4]]
