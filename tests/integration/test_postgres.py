# SPDX-License-Identifier: GPL-3.0-or-later
"""A database server under load: what it had acknowledged before it was held is in the restored copy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lab.images import POSTGRES, postgres

if TYPE_CHECKING:
    from conftest import Keeper, Slate
    from docker.models.containers import Container

    from lab.engine import LabEngine

# Each line is a transaction that the server has acknowledged, and the time after that.
_WRITER = """
i=$1
while psql -q -c "insert into acknowledged values ($i)"; do
  echo "$i $(date +%s.%N)" >>/tmp/acknowledged-$1
  i=$((i + 1))
done
"""
_AS_POSTGRES = {"user": "postgres", "environment": {"PGHOST": "/tmp"}}


@pytest.fixture(scope="session")
def database(lab: LabEngine) -> str:
    """Import the database server's image."""
    return postgres(lab.client())


def _ask(container: Container, *command: str) -> str:
    status, output = container.exec_run(list(command), **_AS_POSTGRES)
    assert status == 0, output.decode(errors="replace")
    return str(output.decode())


def _serve(slate: Slate, name: str, volume: str) -> Container:
    container = slate.client.containers.run(
        POSTGRES,
        name=name,
        detach=True,
        volumes=[f"{volume}:/var/lib/postgresql/data"],
        shm_size="128m",
        stop_signal="SIGINT",
    )
    deadline = time.monotonic() + 60
    while container.exec_run(["psql", "-c", "select 1"], **_AS_POSTGRES).exit_code:
        assert time.monotonic() < deadline, container.logs().decode(errors="replace")[-2000:]
        time.sleep(0.2)
    return container


def _held_at(slate: Slate, since: str, action: str) -> float:
    found = slate.client.api.events(since=since, until=slate.now(), filters={"type": "container"}, decode=True)
    (moment,) = (
        event["timeNano"]
        for event in found
        if event["Action"] == action and event["Actor"]["Attributes"]["name"] == "server"
    )
    return float(moment) / 1e9


@pytest.mark.parametrize(("quiesce", "action"), [("pause", "pause"), ("stop", "kill")])
def test_no_acknowledged_transaction_is_missing(
    quiesce: str, action: str, database: str, keeper: Keeper, slate: Slate
) -> None:
    slate.volume("pgdata")
    server = _serve(slate, "server", "pgdata")
    _ask(server, "psql", "-q", "-c", "create table acknowledged (id bigint primary key)")
    _ask(server, "pgbench", "-q", "-i", "-s", "5")
    server.exec_run(["pgbench", "-n", "-c", "4", "-T", "120"], detach=True, **_AS_POSTGRES)
    for writer in (1_000_000, 2_000_000):
        server.exec_run(["sh", "-c", _WRITER, "sh", str(writer)], detach=True, **_AS_POSTGRES)
    time.sleep(3)
    since = slate.now()
    row = keeper.backup("pgdata", quiesce=quiesce)["backups"][0]
    assert row["quiesced"][0]["action"] == quiesce
    held_at = _held_at(slate, since, action)
    lines = [line.split() for line in _ask(server, "sh", "-c", "cat /tmp/acknowledged-*").splitlines()]
    acknowledged = {int(number) for number, moment in lines if float(moment) < held_at}
    assert len(acknowledged) > 20, "the load was too small to show anything"
    # A copy beside it: the first server goes on meanwhile.
    keeper.restore("pgdata", to="copy")
    copy = _serve(slate, "copy", "copy")
    found = {int(line) for line in _ask(copy, "psql", "-A", "-t", "-c", "select id from acknowledged").split()}
    assert acknowledged - found == set()
    check = "exec /usr/lib/postgresql/*/bin/pg_amcheck --all --install-missing --heapallindexed"
    _ask(copy, "sh", "-c", check)
    assert _ask(server, "psql", "-A", "-t", "-c", "select 1").strip() == "1"
