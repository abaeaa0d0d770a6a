"""When the runs are killed: so long after a checkpoint, drawn beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import numpy as np

from ..domain.records import RunKey
from ..training.run_checkpoints import NAME


@dataclass(frozen=True)
class Kill:
    """An instant: once there is a checkpoint of this step, after a while."""

    run: RunKey
    step: int
    delay_seconds: float
    latest_step: int
    """At the latest once there is a checkpoint of this one: training may be faster by then."""


@dataclass
class CheckpointWatch:
    """When the checkpoints of a run appeared, seen by looking often."""

    folder: Path
    seen: dict[int, float] = field(default_factory=dict)
    """Step to moment of the monotonic clock, ascending."""

    def poll(self) -> None:
        """Note what is new."""
        now = monotonic()
        for step in sorted(steps_in(self.folder)):
            self.seen.setdefault(step, now)


def steps_in(folder: Path) -> Iterable[int]:
    """Steps of the checkpoints that lie in a folder."""
    for path in folder.glob(f"{NAME}_*.pkl"):
        step = path.stem.rpartition("_")[2]
        if step.isdecimal():
            yield int(step)


def newest_step(folder: Path) -> int:
    """The newest of them; 0 where there is none."""
    return max(steps_in(folder), default=0)


def drawn(
    seen: Mapping[RunKey, Mapping[int, float]], count: int, rng: np.random.Generator
) -> list[Kill]:
    """So many instants for each run, each in an interval of its own, the last interval left out.

    Args:
        seen: of each run that was not disturbed, when its checkpoints appeared.
        count: kills of each run; it has more checkpoints than that.
        rng: where the instants come from.
    """
    kills = []
    for run, moments in seen.items():
        steps = sorted(moments)
        for index in sorted(rng.choice(len(steps) - 1, size=count, replace=False)):
            step, following = steps[index], steps[index + 1]
            delay = float(rng.random()) * (moments[following] - moments[step])
            kills.append(Kill(run, step, max(delay, 0.0), following))
    return kills
