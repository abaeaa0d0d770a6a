"""A disk that is full, at many fill levels, and one that answers with an I/O error."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from src.experiments.durability.checkpoints import CheckpointManager

from ..command import Done
from ..figures import Bench, Trial, algorithm_of
from ..pair import Pair, document, small_document
from ..promises import check_files_are_whole
from ..tracing import fail_from
from ..volume import MOUNT_POINT, SmallVolume

LEVEL_BYTES = 24 << 10
"""Between two fill levels: with the highest one three checkpoints still fit."""
A_SIZE = re.compile(r"\d[\d,.]* (bytes|KiB|MiB|GiB)")
BROKEN_CALLS = (8, 45, 70, 110, 170)
"""From which fsync on the disk is broken: at the start, in both runs, at the end."""


def full_disks(bench: Bench, count: int) -> Iterator[Trial]:
    """The disk fills up while the first run trains."""
    for level in range(count):
        yield Trial(partial(_survives_a_full_disk, bench, level))


def _survives_a_full_disk(bench: Bench, level: int, folder: Path) -> None:
    algorithm = algorithm_of(level)
    undisturbed = bench.undisturbed(algorithm)
    with SmallVolume() as volume:
        pair = Pair(folder, document(algorithm), prefix=volume.prefix)
        pair.results_folder, pair.root = Path(MOUNT_POINT), volume.folder / pair.id
        command = pair.start()
        pair.wait_for_checkpoints(1)
        volume.fill(but_for_bytes=level * LEVEL_BYTES)
        done = command.done()
        _check_was_refused(done, MOUNT_POINT)
        told = done.stderr[done.stderr.index("error: ") :]
        assert A_SIZE.search(told), f"no number of bytes is told: {told}"
        _check_can_go_on(pair)
        volume.empty()
        undisturbed.check_same(pair, pair.finish())


def broken_disks(bench: Bench, count: int) -> Iterator[Trial]:
    """From some fsync on, each of them ends in an I/O error."""
    for number in BROKEN_CALLS[:count]:
        yield Trial(partial(_survives_a_broken_disk, bench, number))


def _survives_a_broken_disk(bench: Bench, number: int, folder: Path) -> None:
    algorithm = algorithm_of(number)
    undisturbed = bench.small_undisturbed(algorithm)
    pair = Pair(folder, small_document(algorithm))
    done = bench.warm.finish(pair, tracer=fail_from("fsync", number, "EIO"))
    _check_was_refused(done, str(folder))
    assert "Input/output error" in done.stderr
    _check_can_go_on(pair)
    undisturbed.check_same(pair, bench.warm.finish(pair))


def _check_was_refused(done: Done, path: str) -> None:
    assert done.code == 1, done
    assert path in done.stderr, f"no path is told: {done.stderr}"
    assert "Traceback" not in done.stderr


def _check_can_go_on(pair: Pair) -> None:
    """All files are whole, and the newest checkpoint of each run can be read."""
    check_files_are_whole(pair.root)
    for run in pair.runs():
        if pair.checkpoints(run):
            manager = CheckpointManager(pair.root / "checkpoints" / run, "checkpoint")
            assert next(manager.trusted(), None) is not None
