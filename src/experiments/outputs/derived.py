"""What an experiment leaves behind: every file that follows from its journals and results."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from ..analysis import aggregate, over_seeds
from ..analysis.content import ReportContent
from ..analysis.evidence import with_failure_worth, worth
from ..analysis.streams import StreamFacts
from ..domain.paths import AttemptPaths, RunPaths
from ..domain.records import ExecutionMode, RunKey, RunStatus, TrainingResult
from ..domain.redaction import known_secrets, redact_data, scrub
from ..domain.storage_policy import Storage, StoragePolicy
from ..domain.verdicts import DecisionRule
from ..durability.files import read_json, replacing, write_atomically, write_json
from ..durability.journal import Records
from ..experiment import Experiment
from ..monitoring import JournalProgress
from ..tracking.ledger import ensure_ledger
from ..tracking.local_store import StoreInput, write_store_files

_RUN_FIELDS = (
    "arm",
    "seed",
    "status",
    "training_time",
    "evaluation_time",
    "diagnostics_time",
    "total_timesteps",
    "final_return",
    "final_mean_reward",
    "final_std_reward",
    "auc",
    "attempts",
    "resumed_from_steps",
    "resume",
    "deviations",
    "learned",
    "parameters_sha256",
    "error",
    "fault",
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


def report_content(experiment: Experiment, conditions: Conditions) -> ReportContent:
    """What the report that a person reads tells, gathered from the experiment's files."""
    facts = StreamFacts(experiment.runs())
    for run in experiment.runs():
        files = experiment.paths.run(run)
        facts.add(run, Records(files.journal), Records(files.events))
    return ReportContent(
        experiment_id=experiment.experiment_id,
        hypothesis=experiment.hypothesis,
        comparison=experiment.comparison,
        arms=_arm_results(experiment),
        rule=experiment.rule,
        plan=experiment.design.plan,
        abort_looks=experiment.looks.in_training,
        design_changes=experiment.design_changes,
        unused=_unused(experiment),
        status=experiment.status,
        comment=experiment.config.comment or None,
        tags=experiment.config.tags,
        created=_moment(experiment.life.created_at),
        finished=_moment(experiment.life.ended_at),
        differences=experiment.audit.differences,
        warnings=experiment.warnings,
        notices=experiment.audit.notices,
        curves=facts.curves,
        resources=facts.resources,
        dialogues=facts.dialogues.found,
        remedies=facts.remedies,
        provenance=_provenance(experiment),
        command=shlex.join(conditions.command_line) or None,
        secrets=frozenset(known_secrets()),
    )


def write_results(experiment: Experiment) -> None:
    """Write `results.json` alone."""
    document = redact_data(results_document(experiment), frozenset(known_secrets()))
    write_json(experiment.paths.results, document)


def write_store(experiment: Experiment, conditions: Conditions) -> None:
    """Write results, metrics, logs and artifacts; the manifest comes when all else is there."""
    write_training_logs(experiment)
    ensure_ledger(experiment.paths.ledger)
    write_store_files(
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
            adopted_attempts={
                run: experiment.results[run].attempts for run in experiment.complete_runs()
            },
            secrets=frozenset(known_secrets()),
        )
    )


def write_training_logs(experiment: Experiment) -> None:
    """Join what every attempt of an arm's runs printed into the arm's log, one log at a time.

    Raises:
        StorageError: when the disk refuses.
    """
    secrets = known_secrets()
    for arm in experiment.config.arms:
        with (
            replacing(experiment.paths.training_log(arm)) as temporary,
            temporary.open("w", encoding="utf-8", newline="\n") as file,
        ):
            for run in (run for run in experiment.runs() if run.arm == arm):
                for log in _attempt_logs(experiment.paths.run(run)):
                    file.write(f"=== {run.name} {log.parent.name}\n{scrubbed_log(log, secrets)}")


def write_final_state(experiment: Experiment, state: Mapping[str, Any]) -> None:
    """Write the runner's last state as YAML."""
    text = yaml.safe_dump(dict(state), sort_keys=False, allow_unicode=True)
    write_atomically(experiment.paths.final_state, text)


def results_document(experiment: Experiment) -> dict[str, Any]:
    """The content of `results.json`."""
    needed = {arm: experiment.needed_results_of(arm) for arm in experiment.config.arms}
    rule = with_failure_worth(needed, experiment.rule)
    return {
        "experiment_id": experiment.experiment_id,
        "status": experiment.status.value,
        "runs": [
            {
                **run_document(_result_so_far(experiment, run)),
                "analysed": experiment.is_needed(run),
                "imputed": _imputed(experiment, run, rule),
            }
            for run in experiment.runs()
        ],
        "arms": {
            arm: _arm_document(experiment, result)
            for arm, result in _arm_results(experiment).items()
        },
        "comparison": experiment.compare_results(),
        "design_changes": list(experiment.design_changes),
        "early_abort": [look.to_dict() for look in experiment.looks.in_training],
    }


def _imputed(experiment: Experiment, run: RunKey, rule: DecisionRule) -> float | None:
    """The score that a run which was given up counts with; None for any other."""
    result = experiment.results.get(run)
    is_analysed = result is not None and experiment.is_needed(run)
    if result is None or not is_analysed or result.status is not RunStatus.SKIPPED:
        return None
    return worth(run.arm, result, rule)


def _result_so_far(experiment: Experiment, run: RunKey) -> TrainingResult:
    """What a run came to; of one that was interrupted, how far it is."""
    result = experiment.result_of(run)
    if run in experiment.results:
        return result
    progress = JournalProgress(experiment.paths.run(run), run).read()
    if progress.status not in (RunStatus.INTERRUPTED, RunStatus.CANCELLED):
        return result
    return replace(
        result,
        status=progress.status,
        total_timesteps=progress.step,
        attempts=progress.attempt,
        error=None if progress.status is RunStatus.CANCELLED else progress.error,
    )


def run_document(result: TrainingResult) -> dict[str, Any]:
    """One run as `results.json` holds it."""
    return {name: getattr(result, name) for name in _RUN_FIELDS}


def storage_policy(experiment: Experiment) -> StoragePolicy:
    """What of the experiment is kept here."""
    trackers = set(experiment.config.trackers)
    others = bool(trackers - {"wandb"})
    return StoragePolicy(Storage(experiment.config.storage), "wandb" in trackers, others)


def _attempt_logs(paths: RunPaths) -> list[Path]:
    """What each attempt printed, in the order of the attempts."""
    logs = paths.root.glob("attempt-*/training.log")
    return sorted(logs, key=lambda log: (len(log.parent.name), log.parent.name))


def scrubbed_log(log: Path, secrets: Collection[str]) -> str:
    """A log's text without secrets, which is also what the file holds from now on."""
    raw = log.read_bytes()
    lines = raw.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    text = scrub(lines, secrets)
    if text.encode() != raw:
        write_atomically(log, text)
    return text


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def _arm_document(experiment: Experiment, arm: TrainingResult) -> dict[str, Any]:
    """An aggregate as `results.json` holds it; deviations are those over completed seeds."""
    name = arm.arm or ""
    return {
        **run_document(arm),
        "algorithm": arm.algorithm,
        "environment": arm.environment_name,
        "seeds": [run.seed for run in arm.runs],
        "planned_timesteps": experiment.planned_timesteps()[name],
        "runs_completed": sum(run.status is RunStatus.COMPLETED for run in arm.runs),
        "final_return_std": over_seeds(arm.runs, "final_return")[1],
        "auc_std": over_seeds(arm.runs, "auc")[1],
    }


def _arm_results(experiment: Experiment) -> dict[str, TrainingResult]:
    """The aggregates of the arms that have begun; runs that are still to come count as queued."""
    was_ended = experiment.looks.aborted_by is not None
    return {
        arm: aggregate(arm, [_so_far(experiment, each) for each in needed])
        for arm in experiment.config.arms
        if (needed := experiment.needed_results_of(arm))
        and (was_ended or experiment.results_of(arm))
    }


def _so_far(experiment: Experiment, result: TrainingResult) -> TrainingResult:
    """A needed result; of a run that was ended with the others, how far it is."""
    if result.status is not RunStatus.CANCELLED:
        return result
    return _result_so_far(experiment, RunKey(result.arm or "", result.seed or 0))


def _unused(experiment: Experiment) -> dict[RunKey, TrainingResult]:
    """The planned runs without which a rule has ended the experiment."""
    return {
        run: _result_so_far(experiment, run)
        for run in experiment.runs()
        if not experiment.is_needed(run)
    }


def _provenance(experiment: Experiment) -> Mapping[str, Any]:
    file = experiment.paths.provenance / "provenance.json"
    return dict(read_json(file)) if file.is_file() else {}


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
