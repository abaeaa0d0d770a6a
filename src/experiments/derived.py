"""What an experiment leaves behind: every file that follows from its journals and results."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from .domain.paths import AttemptPaths
from .domain.records import (
    ExecutionMode,
    ResourceSample,
    RunKey,
    TrainingResult,
)
from .domain.redaction import scrub, secrets_of
from .domain.storage_policy import Storage, StoragePolicy
from .durability.files import read_json, replacing, write_atomically, write_json
from .durability.journal import Record, read_journal
from .experiment import Experiment
from .tracking.local_store import StoreInput, write_local_store

LEDGER_VERSION = 1

_RUN_FIELDS = (
    "arm",
    "seed",
    "status",
    "training_time",
    "evaluation_time",
    "total_timesteps",
    "final_return",
    "final_mean_reward",
    "final_std_reward",
    "auc",
    "attempts",
    "resumed_from_steps",
    "resume",
    "deviations",
    "parameters_sha256",
    "error",
)


@dataclass(frozen=True)
class Conditions:
    """How an experiment was carried out."""

    execution_mode: ExecutionMode
    execution_seconds: float
    command_line: Sequence[str] = ()


def adopt_run(experiment: Experiment, run: RunKey, attempt: AttemptPaths) -> Path | None:
    """Give a completed attempt's model its final name; None where there is none."""
    if not attempt.model.is_file():
        return None
    path = experiment.paths.model(run, single_seed=experiment.has_single_seed)
    _copy(attempt.model, path)
    if attempt.normalization.is_file():
        _copy(attempt.normalization, path.with_name(f"{path.stem}_normalization.json"))
    return path


def write_report(experiment: Experiment, conditions: Conditions) -> Path:
    """Write the report that a person reads."""
    # imported here because figures take a second to load, and only the end needs them
    from .analysis.content import ReportContent
    from .analysis.report import write_report as write_page

    streams = {run: read_journal(experiment.paths.run(run).events) for run in experiment.runs()}
    content = ReportContent(
        experiment_id=experiment.experiment_id,
        hypothesis=experiment.hypothesis,
        comparison=experiment.comparison,
        arms=_arm_results(experiment),
        rule=experiment.config.rule,
        status=experiment.status,
        comment=experiment.config.comment or None,
        tags=experiment.config.tags,
        created=_moment(experiment.life.created_at),
        finished=_moment(experiment.life.ended_at),
        differences=experiment.audit.differences,
        warnings=experiment.audit.warnings,
        notices=experiment.audit.notices,
        journals={
            run: read_journal(experiment.paths.run(run).journal) for run in experiment.runs()
        },
        resources={run: _samples(events) for run, events in streams.items()},
        remedies=_remedies(streams),
        provenance=_provenance(experiment),
        command=shlex.join(conditions.command_line) or None,
        secrets=frozenset(secrets_of(os.environ)),
    )
    return write_page(experiment.paths, content, storage_policy(experiment))


def write_store(experiment: Experiment, conditions: Conditions) -> None:
    """Write results, metrics, logs, artifacts and, last of all, the manifest."""
    write_training_logs(experiment)
    write_json(experiment.paths.ledger, {"format_version": LEDGER_VERSION, "trackers": {}})
    completed = set(experiment.runs()) - set(experiment.unfinished_runs())
    write_local_store(
        StoreInput(
            paths=experiment.paths,
            runs=experiment.runs(),
            results=results_document(experiment),
            config=experiment.saved_config(),
            metadata={
                "timestamp": experiment.life.ended_at or experiment.life.started_at,
                "hypothesis": experiment.hypothesis,
                "comment": experiment.config.comment,
                "tags": list(experiment.config.tags),
                "status": experiment.status.value,
                "created_at": experiment.life.created_at,
                "started_at": experiment.life.started_at,
                "ended_at": experiment.life.ended_at,
                "execution_mode": conditions.execution_mode.value,
                "execution_seconds": conditions.execution_seconds,
            },
            adopted_attempts={run: experiment.results[run].attempts for run in completed},
            secrets=frozenset(secrets_of(os.environ)),
        )
    )


def write_training_logs(experiment: Experiment) -> None:
    """Join what every attempt of an arm's runs printed into the arm's log."""
    secrets = secrets_of(os.environ)
    for arm in experiment.config.arms:
        parts = []
        for run in (run for run in experiment.runs() if run.arm == arm):
            for log in sorted(experiment.paths.run(run).root.glob("attempt-*/training.log")):
                text = scrub(log.read_text(encoding="utf-8", errors="replace"), secrets)
                write_atomically(log, text)
                parts.append(f"=== {run.name} {log.parent.name}\n{text}")
        write_atomically(experiment.paths.training_log(arm), "".join(parts))


def write_final_state(experiment: Experiment, state: Mapping[str, Any]) -> None:
    """Write the runner's last state as YAML."""
    text = yaml.safe_dump(dict(state), sort_keys=False, allow_unicode=True)
    write_atomically(experiment.paths.final_state, text)


def results_document(experiment: Experiment) -> dict[str, Any]:
    """The content of `results.json`."""
    return {
        "experiment_id": experiment.experiment_id,
        "status": experiment.status.value,
        "runs": [run_document(experiment.result_of(run)) for run in experiment.runs()],
        "arms": {
            arm: _arm_document(experiment, arm, result)
            for arm in experiment.config.arms
            if (result := experiment.arm_result(arm)) is not None
        },
        "comparison": experiment.compare_results(),
    }


def run_document(result: TrainingResult) -> dict[str, Any]:
    """One run as `results.json` holds it."""
    data = result.to_dict()
    return {name: data[name] for name in _RUN_FIELDS}


def storage_policy(experiment: Experiment) -> StoragePolicy:
    """What of the experiment is kept here."""
    wandb = "wandb" in experiment.config.trackers
    return StoragePolicy(Storage(experiment.config.storage), wandb)


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def _arm_document(experiment: Experiment, arm: str, result: TrainingResult) -> dict[str, Any]:
    return {
        **run_document(result),
        "algorithm": result.algorithm,
        "environment": result.environment_name,
        "seeds": [run.seed for run in experiment.results_of(arm)],
        "planned_timesteps": experiment.planned_timesteps()[arm],
    }


def _arm_results(experiment: Experiment) -> dict[str, TrainingResult]:
    return {
        arm: result
        for arm in experiment.config.arms
        if (result := experiment.arm_result(arm)) is not None
    }


def _samples(events: Sequence[Record]) -> list[ResourceSample]:
    names = {field.name for field in fields(ResourceSample)}
    return [
        ResourceSample(**{name: value for name, value in event.items() if name in names})
        for event in events
        if event["kind"] == "resources"
    ]


def _remedies(streams: Mapping[RunKey, Sequence[Record]]) -> dict[RunKey, str]:
    """The remedy that the last failure of each run named, where it named one."""
    return {
        run: event["remedy"]
        for run, events in streams.items()
        for event in events
        if event["kind"] == "attempt_ended" and event.get("remedy")
    }


def _provenance(experiment: Experiment) -> Mapping[str, Any]:
    file = experiment.paths.provenance / "provenance.json"
    return dict(read_json(file)) if file.is_file() else {}


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
