"""The local store: every file that is derived from journals, events and results.

Deriving again from the same streams writes the same bytes again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..domain.paths import ExperimentPaths
from ..domain.records import RunKey
from ..domain.redaction import redact_data
from ..durability.files import read_json, write_json
from .artifact_files import write_artifacts
from .json_chunks import object_chunks, value_chunks, write_chunks
from .log_lines import read_log
from .memory_usage import MemoryUsage
from .metric_files import open_metric_files
from .series import last_moment, read_streams, text_lines
from .spool import open_spool
from .text_log import TextLog

FORMAT_VERSION = "1.0"

CONTENTS = {
    "results.json": "runs, arms and the comparison",
    "predictions.json": "the final evaluations' episodes",
    "memory_usage.json": "sampled memory of all runs",
    "config/experiment_config.json": "the full, resolved configuration",
    "logs/": "logs of the experiment, the runner and each arm; text_logs.json holds them as data",
    "runs/": "each run's journal, events and result, from which everything else is derived",
    "checkpoints/": "the runner's own state at some steps of all runs together",
    "models/": "final policies, loadable with Stable-Baselines3",
    "metrics/": "every metric as JSON and CSV",
    "artifacts/": "what a tracker uploads",
    "report/": "the report; start at index.html",
    "tracking/": "what trackers were told: ledger.json, and a log of each that printed something",
    "provenance/": "code, command line, packages, hardware and commits of hubs' models",
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


def write_store_files(store: StoreInput) -> None:
    """Write every derived file but the manifest; the streams are read run by run.

    Raises:
        StorageError: when the disk refuses, or an adopted attempt's file cannot be read.
    """
    paths = store.paths
    results = redact_data(store.results, store.secrets)
    write_json(paths.results, results)
    write_json(paths.config, redact_data(store.config, store.secrets))
    write_chunks(paths.predictions, predictions_chunks(store))
    moment = _write_what_streams_tell(store, results)
    sources = {
        "experiment_results": paths.results,
        "model_predictions": paths.predictions,
        "memory_usage": paths.memory_usage,
    }
    write_artifacts(paths.artifacts, sources, moment, _models(store))
    write_json(paths.metadata, redact_data(metadata_document(store), store.secrets))


def _write_what_streams_tell(store: StoreInput, results: Mapping[str, Any]) -> float | None:
    """Write metrics, memory and texts; the moment of the last record of all."""
    paths = store.paths
    moments = []
    with open_spool(paths.root) as spool:
        memory, texts = MemoryUsage(spool), TextLog(spool, store.secrets)
        texts.add(read_log(paths.experiment_log))
        with open_metric_files(paths.metrics, spool) as metrics:
            for run in store.runs:
                stream = read_streams(paths, run)
                metrics.add(stream)
                memory.add(stream)
                texts.add(text_lines(stream))
                moments.append(last_moment(stream))
        metrics.write_documents(results)
        memory.write(paths.memory_usage, paths.experiment_id)
        texts.write(paths.text_logs)
    return max((moment for moment in moments if moment is not None), default=None)


def predictions_chunks(store: StoreInput) -> Iterator[str]:
    """The adopted attempts' predictions by run, a run at a time; null for a run that has none."""
    members: list[tuple[str, Iterable[str]]] = [
        ("experiment_id", value_chunks(store.paths.experiment_id)),
        ("runs", object_chunks(_predictions(store), depth=1)),
    ]
    yield from object_chunks(members)


def _predictions(store: StoreInput) -> Iterator[tuple[str, Iterable[str]]]:
    for run in store.runs:
        attempt = store.adopted_attempts.get(run)
        path = store.paths.run(run).attempt(attempt).predictions if attempt is not None else None
        found = read_json(path) if path is not None and path.is_file() else None
        yield run.name, value_chunks(found, depth=2)


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
