# SPDX-License-Identifier: GPL-3.0-or-later
"""Which volumes and directories the options select."""

from __future__ import annotations

import pytest
from builders import bind_mount, compose, container, volume, volume_mount

from ansible_collections.steward.docker.plugins.module_utils._backup.select import (
    Selection,
    choose,
    find_container,
    is_anonymous,
    labels_match,
)
from ansible_collections.steward.docker.plugins.module_utils._errors import NotFoundError, StewardError

_ANON1, _ANON2, _UNUSED = "1" * 64, "2" * 64, "3" * 64
_VOLUMES = [
    volume(_ANON1),
    volume(_ANON2, com__docker__volume__anonymous=""),
    volume(_UNUSED),
    volume("cache", backup="no", tier="fast"),
    volume("shop_db", com__docker__compose__project="shop", backup="daily"),
    volume("shop_files", com__docker__compose__project="shop", backup="weekly"),
    volume("stray"),
    volume("wiki", backup="daily", tier="fast"),
]
_CONTAINERS = [
    container("blog", volume_mount("wiki"), volume_mount(_ANON2, "/tmp"), bind_mount("/srv/blog", "/etc/blog")),
    # As volumes_from makes it: the same mounts once more, also of the anonymous volume.
    container("blog-backup", volume_mount("wiki"), volume_mount(_ANON2, "/tmp"), bind_mount("/srv/blog", "/etc/blog")),
    container(
        "shop-db-1",
        volume_mount("shop_db"),
        volume_mount(_ANON1, "/var/log"),
        bind_mount("/srv/conf"),
        labels=compose("shop", "db"),
    ),
    container(
        "shop-web-1", volume_mount("cache"), bind_mount("/srv/conf"), labels=compose("shop", "web"), state="exited"
    ),
    container("idle"),
]


def _names(selection: Selection) -> list[str]:
    return [chosen.kept_as for chosen in choose(selection, _VOLUMES, _CONTAINERS)[0]]


_NAMED = ["cache", "shop_db", "shop_files", "stray", "wiki"]
_SELECTIONS = {
    "one volume": (Selection(volumes=["wiki"]), ["wiki"]),
    "two volumes, one of them twice": (Selection(volumes=["wiki", "cache", "wiki"]), ["cache", "wiki"]),
    "an anonymous volume by its own name": (Selection(volumes=[_ANON1]), [_ANON1]),
    "a container": (Selection(containers=["shop-db-1"]), ["shop_db"]),
    "a container with a slash before it": (Selection(containers=["/shop-db-1"]), ["shop_db"]),
    "a container by its ID": (Selection(containers=["id-shop-db-1"]), ["shop_db"]),
    "a container that has ended": (Selection(containers=["shop-web-1"]), ["cache"]),
    "a container with shared mounts": (Selection(containers=["blog-backup"]), ["wiki"]),
    "two containers with one volume": (Selection(containers=["blog", "blog-backup"]), ["wiki"]),
    "a container without volumes": (Selection(containers=["idle"]), []),
    "a project: by its containers and by its labels": (
        Selection(compose_project="shop"),
        ["cache", "shop_db", "shop_files"],
    ),
    "a project that is not there": (Selection(compose_project="other"), []),
    "a label by its key": (Selection(labels=["backup"]), ["cache", "shop_db", "shop_files", "wiki"]),
    "a label by its value": (Selection(labels=["backup=daily"]), ["shop_db", "wiki"]),
    "two labels, of which both must hold": (Selection(labels=["backup=daily", "tier"]), ["wiki"]),
    "a label that nothing has": (Selection(labels=["backup=never"]), []),
    "everything": (Selection(everything=True), _NAMED),
    "several ways add up": (Selection(volumes=["stray"], containers=["blog"]), ["stray", "wiki"]),
    "without one": (Selection(everything=True, exclude=["stray"]), [name for name in _NAMED if name != "stray"]),
    "without a pattern": (Selection(everything=True, exclude=["shop_*", "?iki"]), ["cache", "stray"]),
    "a pattern is about the whole name": (Selection(everything=True, exclude=["shop"]), _NAMED),
    "a pattern heeds capitals": (Selection(everything=True, exclude=["WIKI"]), _NAMED),
    "what is excluded goes although it is named": (Selection(volumes=["wiki", "stray"], exclude=["wiki"]), ["stray"]),
    "anonymous ones of a container": (
        Selection(containers=["shop-db-1"], anonymous=True),
        ["shop-db-1:/var/log", "shop_db"],
    ),
    "an anonymous one that two containers share": (
        Selection(containers=["blog-backup"], anonymous=True),
        ["blog:/tmp", "wiki"],
    ),
    "everything, anonymous ones too": (
        Selection(everything=True, anonymous=True),
        ["shop-db-1:/var/log", "blog:/tmp", _UNUSED, *_NAMED],
    ),
    "anonymous ones without a pattern": (
        Selection(everything=True, anonymous=True, exclude=["blog:*", "3*"]),
        ["shop-db-1:/var/log", *_NAMED],
    ),
}


@pytest.mark.parametrize(("selection", "names"), _SELECTIONS.values(), ids=_SELECTIONS.keys())
def test_the_options_select_volumes(selection: Selection, names: list[str]) -> None:
    assert _names(selection) == names


def test_an_anonymous_volume_says_by_which_container_it_is_known() -> None:
    chosen = choose(Selection(containers=["blog"], anonymous=True), _VOLUMES, _CONTAINERS)[0][0]
    assert (chosen.volume.name, chosen.container, chosen.destination) == (_ANON2, "blog", "/tmp")


def test_the_containers_order_makes_no_other_name_of_an_anonymous_volume() -> None:
    selection = Selection(everything=True, anonymous=True)
    backwards = choose(selection, _VOLUMES, _CONTAINERS[::-1])[0]
    assert [chosen.kept_as for chosen in backwards] == _names(selection)


_BINDS = {
    "not asked for": (Selection(containers=["blog"]), []),
    "of a container": (Selection(containers=["blog"], bind_mounts=True), [("/srv/blog", "blog")]),
    "of two containers that share one": (
        Selection(compose_project="shop", bind_mounts=True),
        [("/srv/conf", "shop-db-1")],
    ),
    "everything": (
        Selection(everything=True, bind_mounts=True),
        [("/srv/blog", "blog"), ("/srv/conf", "shop-db-1")],
    ),
    "without one": (Selection(everything=True, bind_mounts=True, exclude=["/srv/b*"]), [("/srv/conf", "shop-db-1")]),
    "of no container": (Selection(volumes=["wiki"], bind_mounts=True), []),
}


@pytest.mark.parametrize(("selection", "binds"), _BINDS.values(), ids=_BINDS.keys())
def test_the_directories_of_the_selected_containers_are_found(
    selection: Selection, binds: list[tuple[str, str]]
) -> None:
    assert [tuple(bind) for bind in choose(selection, _VOLUMES, _CONTAINERS)[1]] == binds


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        pytest.param(Selection(volumes=["wikis"]), "There is no volume wikis .* It has: .*wiki", id="volume"),
        pytest.param(Selection(volumes=["wiki", "no"]), "There is no volume no ", id="one of two volumes"),
        pytest.param(Selection(containers=["blo"]), "There is no container blo .* It has: blog, ", id="container"),
        pytest.param(Selection(containers=["id-blo"]), "There is no container id-blo ", id="beginning of an ID"),
        pytest.param(Selection(everything=True, containers=["x"]), "There is no container x ", id="beside everything"),
    ],
)
def test_a_name_that_is_not_there_is_refused(selection: Selection, message: str) -> None:
    with pytest.raises(NotFoundError, match=message):
        choose(selection, _VOLUMES, _CONTAINERS)


@pytest.mark.parametrize(
    "selection",
    [Selection(), Selection(exclude=["x"]), Selection(bind_mounts=True, anonymous=True)],
    ids=["nothing", "only an exclusion", "only kinds"],
)
def test_nothing_selected_is_refused(selection: Selection) -> None:
    with pytest.raises(StewardError, match="Nothing is selected"):
        choose(selection, _VOLUMES, _CONTAINERS)


def test_many_names_are_listed_in_part() -> None:
    many = [container(f"c{number:02}") for number in range(12)]
    with pytest.raises(NotFoundError, match=r"It has: c00, .*c09 and 2 more\.$"):
        find_container("x", many)


def test_a_name_goes_before_an_id() -> None:
    named_like_an_id = container("id-b")
    assert find_container("id-b", [container("b"), named_like_an_id]) is named_like_an_id


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (["a"], True),
        (["a="], False),
        (["a=1"], True),
        (["a=1=1"], False),
        (["b=x=y"], True),
        (["empty"], True),
        (["empty="], True),
        (["a=1", "c"], False),
        ([], True),
    ],
)
def test_labels_match_by_key_or_by_value(wanted: list[str], matches: bool) -> None:
    assert labels_match(wanted, {"a": "1", "b": "x=y", "empty": ""}) == matches


@pytest.mark.parametrize(
    ("name", "anonymous"),
    [("a" * 64, True), ("a" * 63, False), ("a" * 65, False), ("A" * 64, False), ("g" * 64, False), ("data", False)],
)
def test_a_generated_name_is_anonymous(name: str, anonymous: bool) -> None:
    assert is_anonymous(volume(name)) == anonymous
