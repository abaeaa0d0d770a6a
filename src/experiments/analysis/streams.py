"""What a report takes of the runs' streams: read run by run, and never held as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..domain.records import ResourceSample, RunKey
from .curves import MAX_LINES, MAX_POINTS, RunCurve, Source, evenly, run_curves
from .dialogues import ExampleCollector

Record = Mapping[str, Any]

MOST_HELD = 1 << 14
"""Samples of a run that are in memory at a time; one a second they are those of 4.5 hours."""


class StreamFacts:
    """Collects what figures and advice need, of one run after the other."""

    def __init__(self, runs: Sequence[RunKey]) -> None:
        """`runs`: every planned run."""
        arms = dict.fromkeys(run.arm for run in runs)
        self._drawn = {
            run
            for arm in arms
            for run in evenly([run for run in runs if run.arm == arm], MAX_LINES)
        }
        self.curves: dict[Source, list[RunCurve]] = {source: [] for source in Source}
        self.resources: dict[RunKey, list[ResourceSample]] = {}
        """Of the runs whose memory is drawn."""
        self.remedies: dict[RunKey, str] = {}
        """What the last failure of a run said would help."""
        self.dialogues = ExampleCollector()

    def add(self, run: RunKey, journal: Iterable[Record], events: Iterable[Record]) -> None:
        """Take in one run's journal and events, each gone through once."""
        for source, curve in run_curves(run, self.dialogues.watched(run, journal)).items():
            if len(curve.steps):
                self.curves[source].append(curve)
        samples = _Samples() if run in self._drawn else None
        for event in events:
            if event["kind"] == "attempt_ended" and event.get("remedy"):
                self.remedies[run] = event["remedy"]
            if event["kind"] == "resources" and samples is not None:
                samples.add(ResourceSample.from_event(event))
        if samples is not None:
            self.resources[run] = thinned(samples.held)


class _Samples:
    """Takes in samples; of more than `MOST_HELD` the one with more memory of each two stays."""

    def __init__(self) -> None:
        self.held: list[ResourceSample] = []
        self._width = 1
        self._taken = 0

    def add(self, sample: ResourceSample | None) -> None:
        """Take in the next sample; what is none is passed over."""
        if sample is None:
            return
        if self._taken % self._width == 0:
            self.held.append(sample)
        else:
            self.held[-1] = max(self.held[-1], sample, key=_memory)
        self._taken += 1
        if len(self.held) == MOST_HELD and self._taken % self._width == 0:
            pairs = zip(self.held[::2], self.held[1::2], strict=True)
            self.held = [max(pair, key=_memory) for pair in pairs]
            self._width *= 2


def _memory(sample: ResourceSample) -> float:
    return sample.memory_mb


def thinned(samples: Sequence[ResourceSample], most: int = MAX_POINTS) -> list[ResourceSample]:
    """The first sample, and of very many the one with the highest memory in each stretch."""
    if len(samples) <= most:
        return list(samples)
    stretches = np.array_split(np.arange(1, len(samples)), most - 1)
    highest = [max(stretch, key=lambda at: samples[at].memory_mb) for stretch in stretches]
    return [samples[0], *(samples[at] for at in highest)]
