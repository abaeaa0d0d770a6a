"""Metrics, texts and memory, read out of the runs' streams by pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ..domain.metric_names import SYSTEM_CPU, SYSTEM_DISK, SYSTEM_MEMORY
from ..domain.paths import ExperimentPaths
from ..domain.records import RunKey
from ..durability.journal import Record, read_journal
from .log_lines import LogLine, from_epoch

SYSTEM_METRICS = {
    "cpu_percent": SYSTEM_CPU,
    "memory_mb": SYSTEM_MEMORY,
    "disk_usage_mb": SYSTEM_DISK,
}
"""Fields of a ``resources`` event and the metrics that they are shown as."""


@dataclass(frozen=True)
class RunStreams:
    """All records of one run."""

    run: RunKey
    journal: tuple[Record, ...]
    events: tuple[Record, ...]


@dataclass(frozen=True)
class Point:
    """One value of one metric."""

    run: RunKey
    step: int
    value: float


def read_streams(paths: ExperimentPaths, run: RunKey) -> RunStreams:
    """Read both streams of a run; absent files are empty ones."""
    files = paths.run(run)
    return RunStreams(run, tuple(read_journal(files.journal)), tuple(read_journal(files.events)))


def metric_series(streams: Sequence[RunStreams]) -> dict[str, list[Point]]:
    """Every metric's points, run after run, in logical order; metrics sorted by name."""
    series: dict[str, list[Point]] = {}
    for stream in streams:
        for record in (*stream.journal, *stream.events):
            for name, value in _values(record):
                series.setdefault(name, []).append(Point(stream.run, int(record["step"]), value))
    return dict(sorted(series.items()))


def _values(record: Record) -> Iterator[tuple[str, float]]:
    kind = record.get("kind")
    metrics = record.get("metrics")
    if kind in ("metrics", "evaluation", "finished") and isinstance(metrics, Mapping):
        yield from ((name, value) for name, value in metrics.items() if is_number(value))
    elif kind == "resources":
        for field, name in SYSTEM_METRICS.items():
            if is_number(record.get(field)):
                yield name, record[field]


def single_values(streams: Sequence[RunStreams]) -> dict[str, dict[str, float]]:
    """What a run has one of: ``{name: {run: value}}``, from its end and its final evaluation."""
    values: dict[str, dict[str, float]] = {}
    for stream in streams:
        for record in stream.journal:
            for name, value in _final_values(record):
                values.setdefault(name, {})[stream.run.name] = value
    return dict(sorted(values.items()))


def _final_values(record: Record) -> Iterator[tuple[str, float]]:
    if record.get("kind") == "finished":
        yield from _values(record)
        for name in ("training_time", "evaluation_time"):
            if is_number(record.get(name)):
                yield name, record[name]
    elif record.get("kind") == "evaluation" and record.get("final"):
        yield from _values(record)


def evaluation_rows(streams: Sequence[RunStreams]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of all evaluations."""
    records = [
        (stream.run, record)
        for stream in streams
        for record in stream.journal
        if record.get("kind") == "evaluation"
    ]
    metrics = sorted({name for _, record in records for name, _ in _values(record)})
    rows = [
        [run.arm, run.seed, record["step"], bool(record.get("final")), record.get("episodes")]
        + [dict(_values(record)).get(name) for name in metrics]
        for run, record in records
    ]
    return ["arm", "seed", "step", "final", "episodes", *metrics], rows


def memory_of(stream: RunStreams) -> dict[str, Any]:
    """A run's sampled memory: peak, mean and every sample, in MiB."""
    samples = [
        {
            "time": record.get("time"),
            "step": record["step"],
            "memory_mb": record["memory_mb"],
            "gpu_memory_mb": record.get("gpu_memory_mb"),
        }
        for record in stream.events
        if record.get("kind") == "resources" and is_number(record.get("memory_mb"))
    ]
    memory = [sample["memory_mb"] for sample in samples]
    return {
        "peak_mb": max(memory, default=None),
        "mean_mb": fmean(memory) if memory else None,
        "samples": samples,
    }


def text_lines(stream: RunStreams) -> Iterator[LogLine]:
    """The run's texts and what happened to it, as log lines."""
    for record in (*stream.journal, *stream.events):
        level, text = _text_of(record)
        if text:
            moment = from_epoch(record.get("time"))
            yield LogLine(moment, level, stream.run.name, text)


def _text_of(record: Record) -> tuple[str, str]:
    match record.get("kind"):
        case "text":
            return "INFO", f"{record.get('name')}: {record.get('text')}"
        case "attempt_started":
            return "INFO", f"attempt {record.get('attempt')} started"
        case "attempt_ended" if record.get("outcome") == "completed":
            return "INFO", f"attempt {record.get('attempt')} completed"
        case "attempt_ended":
            parts = [f"attempt {record.get('attempt')} {record.get('outcome')}"]
            parts += [str(record[name]) for name in ("cause", "remedy") if record.get(name)]
            return "ERROR", "; ".join(parts)
        case "rewound":
            return (
                "WARNING",
                f"rewound to step {record['step']} for attempt {record.get('attempt')}",
            )
        case "finished":
            return "INFO", f"training finished at step {record['step']}"
    return "", ""


def last_moment(streams: Sequence[RunStreams]) -> float | None:
    """When the last record of all was written, in seconds since the epoch."""
    times = (
        record["time"]
        for stream in streams
        for record in (*stream.journal, *stream.events)
        if is_number(record.get("time"))
    )
    return max(times, default=None)


def is_number(value: object) -> bool:
    """Whether a journal's value counts as a metric: a number, also NaN, but no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)
