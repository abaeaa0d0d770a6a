"""`memory_usage.json`: what each run used, look by look, and what all of them used together."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from ..durability.journal import Record
from .json_chunks import array_chunks, object_chunks, value_chunks, write_chunks
from .series import RunStreams, is_number
from .spool import Place, Spool

MEASURES = {"memory_mb": "", "pss_mb": "pss_", "gpu_memory_mb": "gpu_memory_"}
"""Fields of a ``resources`` event, and what names their peak and mean: ``peak_{…}mb``."""

Sample = Mapping[str, Any]


@dataclass(slots=True)
class _Look:
    """All runs at one second: how many, and their sums in the order of `MEASURES`."""

    runs: int
    sums: list[float | None]

    def add(self, sample: Sample) -> None:
        self.runs += 1
        self.sums = [
            _sum(name, together, sample[name])
            for name, together in zip(MEASURES, self.sums, strict=True)
        ]


class MemoryUsage:
    """Takes in run after run; samples are put aside, only sums by second are kept."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._runs: dict[str, Place] = {}
        self._looks: dict[int, _Look] = {}
        self._peak_mb: float | None = None

    def add(self, stream: RunStreams) -> None:
        """Take in a run's ``resources`` events."""
        statistics = _statistics_of(_samples(stream.events))
        self._runs[stream.run.name] = self._spool.put_pieces(
            object_chunks(_members(statistics, _samples(stream.events)), depth=2)
        )
        self._peak_mb = _highest((self._peak_mb, statistics["peak_mb"]))
        for second, sample in _by_second(_samples(stream.events)).items():
            if second in self._looks:
                self._looks[second].add(sample)
            else:
                self._looks[second] = _Look(1, [sample[name] for name in MEASURES])

    def write(self, path: Path, experiment_id: str) -> None:
        """Write the file.

        Raises:
            StorageError: when the disk refuses.
        """
        members: list[tuple[str, Iterable[str]]] = [
            ("experiment_id", value_chunks(experiment_id)),
            ("unit", value_chunks("MiB")),
            ("peak_mb", value_chunks(self._peak_mb)),
            ("total", object_chunks(self._total(), depth=1)),
            ("runs", object_chunks(self._run_members(), depth=1)),
        ]
        write_chunks(path, object_chunks(members))

    def _run_members(self) -> Iterator[tuple[str, Iterable[str]]]:
        for name, place in self._runs.items():
            yield name, self._spool.pieces(place)

    def _total(self) -> Iterator[tuple[str, Iterable[str]]]:
        for index, name in enumerate(MEASURES):
            sums = (look.sums[index] for look in self._looks.values())
            for statistic, value in _statistics(name, sums).items():
                yield statistic, value_chunks(value)
        samples = (self._sample(second) for second in sorted(self._looks))
        yield "samples", array_chunks((value_chunks(each, depth=3) for each in samples), depth=2)

    def _sample(self, second: int) -> dict[str, Any]:
        look = self._looks[second]
        return {"time": second, "runs": look.runs, **dict(zip(MEASURES, look.sums, strict=True))}


def _samples(events: Iterable[Record]) -> Iterator[Sample]:
    """What each ``resources`` event tells of memory, in MiB; null where a measure is not known."""
    for event in events:
        if event.get("kind") == "resources" and is_number(event.get("memory_mb")):
            yield {"time": event.get("time"), "step": event["step"], **_measured(event)}


def _members(
    statistics: Mapping[str, float | None], samples: Iterable[Sample]
) -> Iterator[tuple[str, Iterable[str]]]:
    for name, value in statistics.items():
        yield name, value_chunks(value)
    yield "samples", array_chunks((value_chunks(each, depth=4) for each in samples), depth=3)


def _statistics_of(samples: Iterable[Sample]) -> dict[str, float | None]:
    """Peak and mean of every measure."""
    known = {name: array("d") for name in MEASURES}
    for sample in samples:
        for name, values in known.items():
            if sample[name] is not None:
                values.append(sample[name])
    statistics: dict[str, float | None] = {}
    for name, values in known.items():
        statistics |= _statistics(name, values)
    return statistics


def _measured(event: Record) -> dict[str, float | None]:
    return {name: event[name] if is_number(event.get(name)) else None for name in MEASURES}


def _statistics(measure: str, values: Iterable[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    infix = MEASURES[measure]
    return {
        f"peak_{infix}mb": max(known, default=None),
        f"mean_{infix}mb": fmean(known) if known else None,
    }


def _by_second(samples: Iterable[Sample]) -> dict[int, Sample]:
    """The highest sample of each whole second: runs that were looked at together share one."""
    highest: dict[int, Sample] = {}
    for sample in samples:
        if is_number(sample["time"]) and math.isfinite(sample["time"]):
            second = math.floor(sample["time"])
            if second not in highest or sample["memory_mb"] > highest[second]["memory_mb"]:
                highest[second] = sample
    return highest


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _sum(measure: str, one: float | None, other: float | None) -> float | None:
    if one is not None and other is not None:
        return one + other
    # a run that uses no GPU has none of its memory; otherwise a part of the sum is unknown
    return (one if other is None else other) if measure == "gpu_memory_mb" else None
