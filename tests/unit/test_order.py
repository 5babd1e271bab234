# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order containers are started."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import pytest
from builders import compose, container

from ansible_collections.steward.docker.plugins.module_utils._order import needs, starting_order

if TYPE_CHECKING:
    from ansible_collections.steward.docker.plugins.module_utils._engine import Container


def _service(name: str, depends_on: str = "", project: str = "shop") -> Container:
    return container(name, labels=compose(project, name, depends_on))


def _inside(name: str, other: str) -> Container:
    return container(name, network_mode=f"container:{other}")


_NEEDS = {
    "nothing": (container("a"), set()),
    "the network of one by its name": (_inside("a", "db"), {"id-db"}),
    "the network of one by its ID": (_inside("a", "id-db"), {"id-db"}),
    "the network of one that is not there": (_inside("a", "gone"), set()),
    "a named network like a container": (container("a", network_mode="db"), set()),
    "one service": (_service("a", "db"), {"id-db"}),
    "one service with conditions": (_service("a", "db:service_healthy:true"), {"id-db"}),
    "two services": (_service("a", "db:service_started:false,cache:service_healthy:true"), {"id-db", "id-cache"}),
    "a service that is not there": (_service("a", "mail"), set()),
    "a service of another project": (_service("a", "db", project="blog"), set()),
    "a service without a project": (container("a", labels=compose("", "a", "db")), set()),
    "a network and a service": (
        container("a", labels=compose("shop", "a", "db"), network_mode="container:cache"),
        {"id-db", "id-cache"},
    ),
    "itself": (_inside("db", "db"), set()),
}


@pytest.mark.parametrize(("asking", "needed"), _NEEDS.values(), ids=_NEEDS.keys())
def test_a_container_needs_those_that_its_network_and_its_labels_name(asking: Container, needed: set[str]) -> None:
    assert needs(asking, [asking, _service("db"), _service("cache"), container("other")]) == needed


def test_every_container_of_a_service_is_needed() -> None:
    replicas = [container(f"db-{number}", labels=compose("shop", "db")) for number in (1, 2)]
    assert needs(_service("web", "db"), replicas) == {"id-db-1", "id-db-2"}


_ORDERS = {
    "none": ([], []),
    "by name": ([container("b"), container("c"), container("a")], ["a", "b", "c"]),
    "what is needed first": ([_service("a", "z"), _service("z")], ["z", "a"]),
    "a chain": ([_service("a", "b"), _service("b", "c"), _service("c")], ["c", "b", "a"]),
    "two that need one": ([_service("a", "z"), _service("b", "z"), _service("z")], ["z", "a", "b"]),
    "one that needs two": ([_service("a", "y,z"), _service("y"), _service("z")], ["y", "z", "a"]),
    "a shared network": ([_inside("a", "z"), container("m"), container("z")], ["m", "z", "a"]),
    "a container that is not among them": ([_service("a", "gone"), _inside("b", "gone")], ["a", "b"]),
    "a circle of two": ([_service("b", "a"), _service("a", "b")], ["a", "b"]),
    "a circle of three": ([_service("a", "b"), _service("b", "c"), _service("c", "a")], ["a", "c", "b"]),
    "a circle beside others": (
        [_service("b", "c"), _service("c", "b"), _service("a"), _service("d", "a")],
        list("adbc"),
    ),
    "one that needs a circle": ([_service("a", "b"), _service("b", "c"), _service("c", "b")], ["b", "a", "c"]),
    "a circle that needs one": ([_service("a", "b,z"), _service("b", "a"), _service("z")], ["z", "a", "b"]),
}


@pytest.mark.parametrize(("containers", "names"), _ORDERS.values(), ids=_ORDERS.keys())
def test_containers_start_after_those_they_need(containers: list[Container], names: list[str]) -> None:
    for given in list(permutations(containers))[:24]:
        assert [item.name for item in starting_order(given)] == names
