"""What a report takes of the runs' streams: read run by run, and never held as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..domain.records import ResourceSample, RunKey
from .curves import MAX_LINES, MAX_POINTS, RunCurve, Source, evenly, run_curve

Record = Mapping[str, Any]


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

    def add(self, run: RunKey, journal: Sequence[Record], events: Sequence[Record]) -> None:
        """Take in one run's journal and events."""
        for source, curves in self.curves.items():
            curve = run_curve(run, journal, source)
            if len(curve.steps):
                curves.append(curve)
        if run in self._drawn:
            told = (ResourceSample.from_event(e) for e in events if e["kind"] == "resources")
            self.resources[run] = thinned([sample for sample in told if sample is not None])
        for event in events:
            if event["kind"] == "attempt_ended" and event.get("remedy"):
                self.remedies[run] = event["remedy"]


def thinned(samples: Sequence[ResourceSample], most: int = MAX_POINTS) -> list[ResourceSample]:
    """The first sample, and of very many the one with the highest memory in each stretch."""
    if len(samples) <= most:
        return list(samples)
    stretches = np.array_split(np.arange(1, len(samples)), most - 1)
    highest = [max(stretch, key=lambda at: samples[at].memory_mb) for stretch in stretches]
    return [samples[0], *(samples[at] for at in highest)]
