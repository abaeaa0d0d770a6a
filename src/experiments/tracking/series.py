"""Metrics and texts, read out of one run's streams by pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ..domain.metric_names import (
    CHECKPOINT_SAVED,
    CHECKPOINT_STEP,
    SYSTEM_CPU,
    SYSTEM_DISK,
    SYSTEM_MEMORY,
)
from ..domain.paths import ExperimentPaths
from ..domain.records import RunKey
from ..durability.journal import Record, Records
from .log_lines import LogLine, from_epoch

SYSTEM_METRICS = {
    "cpu_percent": SYSTEM_CPU,
    "memory_mb": SYSTEM_MEMORY,
    "disk_usage_mb": SYSTEM_DISK,
}
"""Fields of a ``resources`` event and the metrics that they are shown as.

A GPU's memory is not among them: the training process itself tells what it has allocated there.
"""


_WITH_METRICS = frozenset({"metrics", "evaluation", "diagnostics", "finished"})


@dataclass(frozen=True)
class RunStreams:
    """All records of one run."""

    run: RunKey
    journal: Iterable[Record]
    events: Iterable[Record]

    def __iter__(self) -> Iterator[Record]:
        """What training told, then what happened to the run."""
        return chain(self.journal, self.events)


def read_streams(paths: ExperimentPaths, run: RunKey) -> RunStreams:
    """Both streams of a run, to be read; absent files are empty ones."""
    files = paths.run(run)
    return RunStreams(run, Records(files.journal), Records(files.events))


def metric_values(record: Record) -> Iterator[tuple[str, float]]:
    """The metrics of one record, by name."""
    kind = record.get("kind")
    metrics = record.get("metrics")
    if kind in _WITH_METRICS and isinstance(metrics, Mapping):
        yield from ((name, value) for name, value in metrics.items() if is_number(value))
    elif kind == "checkpoint":
        yield CHECKPOINT_SAVED, 1.0
        yield CHECKPOINT_STEP, float(record["step"])
    elif kind == "resources":
        for field, name in SYSTEM_METRICS.items():
            if is_number(record.get(field)):
                yield name, record[field]


def final_values(stream: RunStreams) -> Iterator[tuple[str, float]]:
    """What a run has one of, from its end and its final evaluation; a later value counts."""
    for record in stream.journal:
        if record.get("kind") == "finished":
            yield from metric_values(record)
            for name in ("training_time", "evaluation_time", "diagnostics_time"):
                if is_number(record.get(name)):
                    yield name, record[name]
        elif record.get("kind") == "evaluation" and record.get("final"):
            yield from metric_values(record)


def evaluation_rows(stream: RunStreams) -> list[tuple[list[Any], dict[str, float]]]:
    """A run's evaluations: arm, seed, step, whether final, episodes; and the metrics by name."""
    run = stream.run
    return [
        (
            [run.arm, run.seed, record["step"], bool(record.get("final")), record.get("episodes")],
            dict(metric_values(record)),
        )
        for record in stream.journal
        if record.get("kind") == "evaluation"
    ]


def text_lines(stream: RunStreams) -> Iterator[LogLine]:
    """The run's texts and what happened to it, as log lines."""
    for record in stream:
        level, text = text_of(record)
        if text:
            moment = from_epoch(record.get("time"))
            yield LogLine(moment, level, stream.run.name, text)


def text_of(record: Record) -> tuple[str, str]:
    """Level and text of a record that says something in words; empty ones for any other."""
    match record.get("kind"):
        case "text":
            return "INFO", f"{record.get('name')}: {record.get('text')}"
        case "attempt_started":
            return "INFO", f"attempt {record.get('attempt')} started"
        case "attempt_ended" if record.get("outcome") == "completed":
            return "INFO", f"attempt {record.get('attempt')} completed"
        case "attempt_ended" if record.get("outcome") == "cancelled":
            attempt = f"attempt {record['attempt']} " if record.get("attempt") else ""
            return "INFO", f"{attempt}cancelled; {record.get('cause')}"
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


def last_moment(stream: RunStreams) -> float | None:
    """When the run's last record was written, in seconds since the epoch."""
    times = (record["time"] for record in stream if is_number(record.get("time")))
    return max(times, default=None)


def is_number(value: object) -> bool:
    """Whether a journal's value counts as a metric: a number, also NaN, but no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)
