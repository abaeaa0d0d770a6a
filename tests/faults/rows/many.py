"""Many small runs one after the other: what the orchestrator keeps of each."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil

from ..command import Command
from ..figures import Bench, Trial
from ..pair import Pair, document

FULL_RUNS, FEW_RUNS = 200, 30
FIRST_LOOK = 10
"""Runs that have ended before the first look: what is imported late has been imported."""
MOST_MB = 20.0
OPEN_FOR_A_MOMENT = 3
"""Files that are being written at every look of a few; what is left open grows with the runs."""


class Look(NamedTuple):
    """What the orchestrator holds at a moment."""

    ended: int
    memory_mb: float
    descriptors: int


def many_runs(bench: Bench, count: int) -> Iterator[Trial]:
    """One experiment of so many runs."""
    yield Trial(partial(_keeps_little, bench, count), count)


def _keeps_little(bench: Bench, runs: int, folder: Path) -> None:
    baseline = {
        "hyperparameters": {"n_steps": 32, "batch_size": 32, "n_epochs": 1},
        "training_steps": 64,
    }
    pair = Pair(folder, document(baseline=baseline, seeds=runs // 2))
    command = pair.start()
    looks = _look_at(pair, command)
    done = command.done(600.0)
    assert done.code == 0, done
    early = [look for look in looks if FIRST_LOOK <= look.ended < runs / 2]
    late = [look for look in looks if runs / 2 <= look.ended < runs]
    memory_mb = max(look.memory_mb for look in late) - early[0].memory_mb
    bench.saw("MB more", memory_mb)
    assert memory_mb < MOST_MB
    least = [min(look.descriptors for look in looks) for looks in (early, late)]
    assert least[1] <= least[0] + OPEN_FOR_A_MOMENT, least


def _look_at(pair: Pair, command: Command) -> list[Look]:
    """Look several times a second, between two runs' ends, until the command ends."""
    looks, orchestrator = [], psutil.Process(command.pid)
    while not command.ends_within(0.1):
        ended = len(list(pair.root.glob("runs/*/result.json")))
        try:
            memory = orchestrator.memory_info().rss / 2**20
            looks.append(Look(ended, memory, orchestrator.num_fds()))
        except psutil.Error:
            break
    return looks
