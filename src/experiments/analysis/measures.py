"""What is drawn of the samples of a run's processes over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..domain.records import ResourceSample, RunKey

Samples = Mapping[RunKey, Sequence[ResourceSample]]


@dataclass(frozen=True)
class Measure:
    """One field of the samples, and the words that go with it."""

    name: str
    """Of the chart's files."""
    field: str
    title: str
    label: str
    """Of the axis, with the unit."""
    unit: str
    caption: str

    def over_time(self, samples: Sequence[ResourceSample]) -> tuple[list[float], list[float]]:
        """Seconds since the run's first sample, and the values that were measured then."""
        # without memory there was no process any more
        alive = (sample for sample in samples if sample.memory_mb > 0)
        taken = [(sample.time, getattr(sample, self.field)) for sample in alive]
        known = [(time, value) for time, value in taken if value is not None]
        start = samples[0].time if samples else 0.0
        seconds = [round(time - start, 1) for time, _ in known]
        return seconds, [round(float(value), 1) for _, value in known]

    def measured(self, resources: Samples) -> dict[RunKey, Sequence[ResourceSample]]:
        """The runs of which it was measured more than once."""
        return {
            run: samples
            for run, samples in resources.items()
            if sum(getattr(sample, self.field) is not None for sample in samples) > 1
        }


MEASURES = (
    Measure(
        "memory",
        "memory_mb",
        "Memory",
        "resident memory (MiB)",
        "MiB",
        "Resident memory of a run's processes, sampled while it trained.",
    ),
    Measure(
        "cpu",
        "cpu_percent",
        "CPU",
        "CPU (% of one core)",
        "%",
        "Processor time of a run's processes; 100 % is one core fully used.",
    ),
    Measure("gpu", "gpu_percent", "GPU", "GPU (%)", "%", "Use of the GPU while the run trained."),
    Measure(
        "gpu_memory",
        "gpu_memory_mb",
        "GPU memory",
        "GPU memory (MiB)",
        "MiB",
        "GPU memory in use while the run trained.",
    ),
)
"""In the order of the report; one that was never sampled is left out."""
