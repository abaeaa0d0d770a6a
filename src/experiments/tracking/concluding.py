"""What trackers are told at the end of a run, read from the experiment's files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..domain.errors import StorageError
from ..domain.paths import ExperimentPaths
from ..domain.records import RunKey, RunStatus
from ..domain.redaction import redact
from ..durability.files import json_text, read_json
from ..durability.journal import Records
from .files_without_secrets import is_withheld
from .series import RunStreams, evaluation_rows, final_values, read_streams
from .tracker import RunConclusion, Table

FIRST_FIGURE = "learning_curves"
"""Shown before the others."""
WHOLE_EXPERIMENT = ("experiment_results", "model_predictions", "memory_usage")


def run_status(paths: ExperimentPaths, run: RunKey) -> RunStatus:
    """Where a run stands, by its result; one that has begun and has none is interrupted.

    Or it was cancelled, which its events tell.
    """
    files = paths.run(run)
    result = _object(files.result).get("result") or {}
    if isinstance(result, Mapping) and "status" in result:
        return RunStatus(result["status"])
    if not files.journal.is_file():
        return RunStatus.QUEUED
    outcome = None
    for event in Records(files.events):
        if event["kind"] == "attempt_ended":
            outcome = event.get("outcome")
    return RunStatus.CANCELLED if outcome == RunStatus.CANCELLED else RunStatus.INTERRUPTED


def conclude_run(
    paths: ExperimentPaths,
    run: RunKey,
    *,
    single_seed: bool,
    with_experiment: bool,
    secrets: frozenset[str] = frozenset(),
) -> RunConclusion:
    """The conclusion of one run, from what lies there now.

    Args:
        paths: the experiment's files.
        run: the run.
        single_seed: whether each arm has one run.
        with_experiment: whether the report and what else is of the whole experiment is told with
            this run.
        secrets: values that are left out of messages.
    """
    stream = read_streams(paths, run)
    result = _object(paths.run(run).result).get("result") or {}
    model = paths.model(run, single_seed=single_seed)
    conclusion = RunConclusion(
        status=run_status(paths, run),
        step=max((int(record["step"]) for record in stream.journal), default=0),
        single_values=dict(final_values(stream)),
        tables=_tables(stream),
        artifacts=_own_artifacts(paths, run, result),
        model=model if model.is_file() else None,
        error=redact(str(result.get("error") or ""), secrets),
    )
    return _with_experiment(conclusion, paths, secrets) if with_experiment else conclusion


def without_withheld(
    conclusion: RunConclusion, secrets: frozenset[str]
) -> tuple[RunConclusion, tuple[Path, ...]]:
    """The conclusion without the files that may not be told, and these."""
    named = {**conclusion.figures, **conclusion.artifacts}
    files = [*named.values(), *([conclusion.model] if conclusion.model else [])]
    withheld = tuple(file for file in files if is_withheld(file, secrets))

    def told(of: Mapping[str, Path]) -> dict[str, Path]:
        return {name: file for name, file in of.items() if file not in withheld}

    model = None if conclusion.model in withheld else conclusion.model
    figures, artifacts = told(conclusion.figures), told(conclusion.artifacts)
    return replace(conclusion, figures=figures, artifacts=artifacts, model=model), withheld


def digest(conclusion: RunConclusion) -> str:
    """The same for conclusions that tell the same."""
    files = {**conclusion.figures, **conclusion.artifacts}
    if conclusion.model is not None:
        files["model"] = conclusion.model
    content = {name: _sha256(path) for name, path in sorted(files.items())}
    said = [
        conclusion.status.value,
        {name: repr(value) for name, value in sorted(conclusion.single_values.items())},
        {name: repr(table) for name, table in sorted(conclusion.tables.items())},
        conclusion.verdict,
        conclusion.error,
        content,
    ]
    return hashlib.sha256(json_text(said).encode(errors="backslashreplace")).hexdigest()


def _with_experiment(
    conclusion: RunConclusion, paths: ExperimentPaths, secrets: frozenset[str]
) -> RunConclusion:
    results = _object(paths.results)
    comparison = results.get("comparison")
    sentence = comparison.get("sentence") if isinstance(comparison, Mapping) else None
    figures = {path.stem: path for path in sorted(paths.report.glob("*.png"))}
    first = {name: path for name, path in figures.items() if name == FIRST_FIGURE}
    return replace(
        conclusion,
        verdict=redact(str(sentence or ""), secrets),
        figures={**first, **figures},
        tables={**conclusion.tables, **_arms_table(results)},
        artifacts={**conclusion.artifacts, **_experiment_artifacts(paths)},
    )


def _tables(stream: RunStreams) -> dict[str, Table]:
    rows = evaluation_rows(stream)
    names = sorted({name for _, metrics in rows for name in metrics})
    if not rows:
        return {}
    columns = ("step", "final", "episodes", *names)
    return {
        "evaluations": Table(
            columns,
            tuple((*cells[2:], *(metrics.get(name) for name in names)) for cells, metrics in rows),
        )
    }


def _arms_table(results: Mapping[str, Any]) -> dict[str, Table]:
    arms = [arm for arm in (results.get("arms") or {}).values() if isinstance(arm, Mapping)]
    columns = tuple(dict.fromkeys(column for arm in arms for column in arm))
    if not arms:
        return {}
    return {
        "arms": Table(columns, tuple(tuple(_cell(arm.get(c)) for c in columns) for arm in arms))
    }


def _cell(value: Any) -> Any:
    return value if isinstance(value, str | int | float | None) else json_text(value)


def _own_artifacts(
    paths: ExperimentPaths, run: RunKey, result: Mapping[str, Any]
) -> dict[str, Path]:
    files = paths.run(run)
    found = {"journal": files.journal, "run_result": files.result}
    attempt = result.get("attempts")
    if isinstance(attempt, int) and attempt > 0:
        found["predictions"] = files.attempt(attempt).predictions
        found["normalization"] = files.attempt(attempt).normalization
    return {name: path for name, path in found.items() if path.is_file()}


def _experiment_artifacts(paths: ExperimentPaths) -> dict[str, Path]:
    """What `artifacts/` holds under its plain names, the configuration and the report."""
    found: dict[str, Path] = {}
    for kind in WHOLE_EXPERIMENT:
        for path in sorted(paths.artifacts.glob(f"{kind}_*.json")):
            found[kind] = path  # the newest is last
    others = {"experiment_config": paths.config, "report": paths.report_page}
    return {**found, **{name: path for name, path in others.items() if path.is_file()}}


def _object(path: Path) -> Mapping[str, Any]:
    """A JSON object; empty where there is none."""
    try:
        content = read_json(path)
    except StorageError:
        return {}
    return content if isinstance(content, Mapping) else {}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
