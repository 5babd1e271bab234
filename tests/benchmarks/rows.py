# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured: each function adds its rows to the bench."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks import peers
from tests.benchmarks.bench import Bench, MemoryRow, Place, TimeRow, Times, timed
from tests.benchmarks.data import TINY_PER_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Callable

_BACKUP, _RESTORE = "volume_backup", "volume_restore"


class _Taken:
    """The times of one row while its repetitions run."""

    def __init__(self) -> None:
        """Begin with none."""
        self.ours: list[float] = []
        self.playbook: list[float] = []
        self.tar: list[float] = []
        self.restic: list[float] = []

    def row(self, what: str, peer: str, theirs: list[float], reach: float) -> TimeRow:
        """Return the line of the table that compares with one peer."""
        return TimeRow(what, Times(tuple(self.ours)), peer, Times(tuple(theirs)), reach, Times(tuple(self.playbook)))


def _small(bench: Bench) -> str:
    """Return what the volume of small files is called in the table."""
    return f"{bench.files:,} small files"


def _first(bench: Bench, volume: str, what: str) -> None:
    """Measure a first backup beside both peers."""
    tree = bench.tree(volume)
    taken = _Taken()
    for _turn in range(bench.repeat):
        with bench.place() as place:
            taken.tar.append(timed(peers.tar_zstd, tree, place.path / "peer.tar.zst"))
        with bench.place() as place:
            restic = peers.Restic(place.path)
            taken.restic.append(timed(restic.backup, tree))
        with bench.place() as place:
            taken.ours.append(place.inside(_BACKUP, volumes=[volume]).seconds)
        with bench.place() as place:
            taken.playbook.append(place.playbook(_BACKUP, volumes=[volume]))
    bench.times.append(taken.row(f"first backup, {what}", peers.TAR_ZSTD, taken.tar, 1.2))
    bench.times.append(taken.row(f"first backup, {what}", peers.RESTIC, taken.restic, 0.5))


def first_small(bench: Bench) -> None:
    """Measure the first backup of many small files."""
    _first(bench, "small", _small(bench))


def first_large(bench: Bench) -> None:
    """Measure the first backup of one large file."""
    _first(bench, "large", "one file of 1 GB")


def unchanged(bench: Bench) -> None:
    """Measure a backup of what has not changed."""
    tree = bench.tree("small")
    taken = _Taken()
    for _turn in range(bench.repeat):
        with bench.place() as place:
            restic = peers.Restic(place.path)
            restic.backup(tree)
            taken.restic.append(timed(restic.backup, tree))
        with bench.place() as place:
            place.inside(_BACKUP, volumes=["small"])
            taken.ours.append(place.inside(_BACKUP, volumes=["small"], changed=False).seconds)
            taken.playbook.append(place.playbook(_BACKUP, volumes=["small"], changed=False))
    bench.times.append(taken.row(f"unchanged, {_small(bench)}", peers.RESTIC, taken.restic, 0.2))


def _restore(bench: Bench, volume: str, what: str) -> None:
    """Measure a restore in place beside tar into an empty directory."""
    tree = bench.tree(volume)
    taken = _Taken()

    def restored(run: Callable[[Place], float]) -> float:
        """Return the seconds of a restore from a fresh store, after one file was altered."""
        with bench.place() as place:
            bench.settle()
            place.inside(_BACKUP, volumes=[volume])
            bench.alter(volume)
            seconds = run(place)
            bench.drop_previous(volume)
        return seconds

    for _turn in range(bench.repeat):
        with bench.place() as place:
            archive = place.path / "peer.tar.zst"
            peers.tar_zstd(tree, archive)
            taken.tar.append(timed(peers.untar, archive, bench.aside()))
        taken.ours.append(restored(lambda place: place.inside(_RESTORE, volume=volume).seconds))
        taken.playbook.append(restored(lambda place: place.playbook(_RESTORE, volume=volume)))
    bench.times.append(taken.row(f"restore, {what}", peers.TAR_ZSTD, taken.tar, 1.3))


def restore_small(bench: Bench) -> None:
    """Measure the restore of many small files."""
    _restore(bench, "small", _small(bench))


def restore_large(bench: Bench) -> None:
    """Measure the restore of one large file."""
    _restore(bench, "large", "one file of 1 GB")


def memory(bench: Bench) -> None:
    """Measure the memory of each job on a tree with very many files, once."""
    bench.tree("tiny")
    what = f"{bench.many:,} files in {-(-bench.many // TINY_PER_DIRECTORY):,} directories"
    with bench.place() as place:
        bench.memory.append(MemoryRow(f"first backup, {what}", place.inside(_BACKUP, volumes=["tiny"])))
        again = place.inside(_BACKUP, volumes=["tiny"], changed=False)
        bench.memory.append(MemoryRow(f"unchanged, {what}", again))
        bench.alter("tiny")
        bench.memory.append(MemoryRow(f"restore, {what}", place.inside(_RESTORE, volume="tiny")))
        bench.drop_previous("tiny")


ROWS: dict[str, Callable[[Bench], None]] = {
    "small": first_small,
    "large": first_large,
    "unchanged": unchanged,
    "restore-small": restore_small,
    "restore-large": restore_large,
    "memory": memory,
}
