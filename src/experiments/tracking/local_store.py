"""The local store: every file that is derived from journals, events and results.

Deriving again from the same streams writes the same bytes again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..domain.paths import ExperimentPaths
from ..domain.records import RunKey
from ..domain.redaction import redact_data
from ..durability.files import read_json, write_json
from .artifact_files import write_artifacts
from .log_lines import LogLine, read_log
from .manifest import write_manifest
from .metric_files import write_metrics
from .series import RunStreams, last_moment, memory_of, read_streams, text_lines

FORMAT_VERSION = "1.0"

CONTENTS = {
    "results.json": "runs, arms and the comparison",
    "predictions.json": "the final evaluations' episodes",
    "memory_usage.json": "sampled memory of all runs",
    "config/experiment_config.json": "the full, resolved configuration",
    "logs/": "logs of the experiment, the runner and each arm; text_logs.json holds them as data",
    "runs/": "each run's journal and events, from which everything else is derived",
    "checkpoints/": "the runner's own state at some steps of all runs together",
    "models/": "final policies, loadable with Stable-Baselines3",
    "metrics/": "every metric as JSON and CSV",
    "artifacts/": "what a tracker uploads",
    "report/": "the report; start at index.html",
    "provenance/": "code, command line, packages and hardware",
    "manifest.json": "every file with its size and SHA-256",
}


@dataclass(frozen=True)
class StoreInput:
    """What the derivation needs beside the runs' streams, which it reads itself."""

    paths: ExperimentPaths
    runs: Sequence[RunKey]
    """Every planned run, baseline first."""
    results: Mapping[str, Any]
    """The content of `results.json`."""
    config: Mapping[str, Any]
    """The full, resolved configuration."""
    metadata: Mapping[str, Any]
    """Fields for `metadata.json`, `timestamp` among them; `name` defaults to the id."""
    adopted_attempts: Mapping[RunKey, int] = field(default_factory=dict)
    """The attempt whose files count; a run without one has no predictions and no model."""
    secrets: frozenset[str] = frozenset()
    """Values that must not be written (`redaction.secrets_of`)."""


def write_local_store(store: StoreInput) -> None:
    """Write every derived file, the manifest last.

    Raises:
        StorageError: when the disk refuses, or an adopted attempt's file cannot be read.
    """
    paths = store.paths
    streams = [read_streams(paths, run) for run in store.runs]
    results = redact_data(store.results, store.secrets)
    predictions = predictions_document(store)
    memory = memory_document(paths, streams)
    write_json(paths.results, results)
    write_json(paths.predictions, predictions)
    write_json(paths.memory_usage, memory)
    write_json(paths.config, redact_data(store.config, store.secrets))
    write_json(paths.text_logs, redact_data(text_log(paths, streams), store.secrets))
    write_metrics(paths.metrics, streams, results)
    contents = {
        "experiment_results": results,
        "model_predictions": predictions,
        "memory_usage": memory,
    }
    write_artifacts(paths.artifacts, contents, last_moment(streams), _models(store))
    write_json(paths.metadata, redact_data(metadata_document(store), store.secrets))
    write_manifest(paths)


def predictions_document(store: StoreInput) -> dict[str, Any]:
    """The adopted attempts' predictions by run; null for a run that has none."""
    runs: dict[str, Any] = {}
    for run in store.runs:
        attempt = store.adopted_attempts.get(run)
        path = store.paths.run(run).attempt(attempt).predictions if attempt is not None else None
        runs[run.name] = read_json(path) if path is not None and path.is_file() else None
    return {"experiment_id": store.paths.experiment_id, "runs": runs}


def memory_document(paths: ExperimentPaths, streams: Sequence[RunStreams]) -> dict[str, Any]:
    """Sampled memory by run, and the highest of all."""
    runs = {stream.run.name: memory_of(stream) for stream in streams}
    peaks = [run["peak_mb"] for run in runs.values() if run["peak_mb"] is not None]
    return {
        "experiment_id": paths.experiment_id,
        "unit": "MiB",
        "peak_mb": max(peaks, default=None),
        "runs": runs,
    }


def text_log(paths: ExperimentPaths, streams: Sequence[RunStreams]) -> list[dict[str, Any]]:
    """The experiment's log and what the runs' streams tell in words, by time."""
    lines: list[LogLine] = read_log(paths.experiment_log)
    for stream in streams:
        lines.extend(text_lines(stream))
    return [asdict(line) for line in sorted(lines, key=lambda line: line.timestamp or "")]


def metadata_document(store: StoreInput) -> dict[str, Any]:
    """Name, time, format version, what the caller adds, and a table of contents."""
    return {
        "name": store.paths.experiment_id,
        "experiment_id": store.paths.experiment_id,
        "timestamp": None,
        "format_version": FORMAT_VERSION,
        **store.metadata,
        "contents": CONTENTS,
    }


def _models(store: StoreInput) -> dict[str, str]:
    """Paths of the adopted models that are there, relative to the experiment."""
    root = store.paths.root
    seeds = {run.seed for run in store.runs}
    models = {run.name: store.paths.model(run, single_seed=len(seeds) == 1) for run in store.runs}
    return {name: str(path.relative_to(root)) for name, path in models.items() if path.is_file()}
