"""What an experiment leaves behind: logs, results by run and arm, the whole of many seeds."""

import csv
import json

import pytest

from src.experiments.analysis.report import write_page
from src.experiments.domain.records import ExecutionMode, RunKey, TrainingResult
from src.experiments.durability.journal import JournalWriter
from src.experiments.experiment import Experiment
from src.experiments.outputs.derived import (
    Conditions,
    report_content,
    results_document,
    storage_policy,
    write_store,
    write_training_logs,
)
from src.experiments.tracking.manifest import write_manifest

BASELINE = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": 2048, "seed": 1}
VARIANT = {"extends": "baseline", "hyperparameters": {"learning_rate": 1e-3}}
CONDITIONS = Conditions(ExecutionMode.PARALLEL, 2.0)


@pytest.fixture
def experiment(tmp_path):
    experiment = Experiment(
        BASELINE, VARIANT, "faster", experiment_id="pair", output_dir=tmp_path, seeds=3
    )
    experiment.begin()
    return experiment


def add(experiment, arm, seed, value, **changes):
    success = changes.get("success", True)
    experiment.add_result(
        arm,
        TrainingResult(
            success=success,
            total_timesteps=2048,
            training_time=2.0,
            final_mean_reward=value if success else None,
            final_std_reward=5.0,
            experiment_name="x",
            algorithm="PPO",
            environment_name="CartPole-v1",
            seed=seed,
            final_return=value if success else None,
            error=None if success else "boom",
        ),
    )


def printed(experiment, run, attempt, data):
    log = experiment.paths.run(run).attempt(attempt).log
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(data)
    return log


def test_an_arms_log_joins_what_its_attempts_printed_in_their_order(experiment):
    first, second = RunKey("variant", 1), RunKey("variant", 2)
    printed(experiment, second, 1, b"second run\n")
    for attempt in (10, 2, 1):
        printed(experiment, first, attempt, f"attempt {attempt}\n".encode())
    write_training_logs(experiment)

    assert experiment.paths.training_log("variant").read_text() == (
        "=== variant_seed1 attempt-1\nattempt 1\n"
        "=== variant_seed1 attempt-2\nattempt 2\n"
        "=== variant_seed1 attempt-10\nattempt 10\n"
        "=== variant_seed2 attempt-1\nsecond run\n"
    )
    assert experiment.paths.training_log("baseline").read_text() == ""


def test_what_was_printed_is_scrubbed_where_it_lies_and_otherwise_left_alone(
    experiment, monkeypatch
):
    monkeypatch.setenv("SERVICE_API_KEY", "canary-secret-1")
    harmless = printed(experiment, RunKey("baseline", 1), 1, b"nothing\n")
    before = harmless.stat().st_ino
    telling = printed(
        experiment, RunKey("baseline", 2), 1, b"50 %\r100 %\r\nkey canary-secret-1 \x1b[2J\xff\n"
    )
    write_training_logs(experiment)

    assert harmless.stat().st_ino == before
    text = "50 %\n100 %\nkey [redacted] \\x1b[2J\ufffd\n"
    assert telling.read_text() == text
    assert experiment.paths.training_log("baseline").read_text().endswith(f"attempt-1\n{text}")


def test_an_arm_of_several_seeds_is_told_with_its_spread(experiment):
    for seed, value in ((1, 100.0), (2, 110.0), (3, 120.0)):
        add(experiment, "baseline", seed, value)
    arms = results_document(experiment)["arms"]

    assert list(arms) == ["baseline"]
    baseline = arms["baseline"]
    assert (baseline["seed"], baseline["seeds"]) == (None, [1, 2, 3])
    assert (baseline["final_return"], baseline["final_return_std"]) == (110.0, 10.0)
    assert (baseline["status"], baseline["runs_completed"]) == ("completed", 3)
    assert (baseline["total_timesteps"], baseline["planned_timesteps"]) == (3 * 2048, 2048)
    assert baseline["auc_std"] is None


def test_an_arm_with_runs_to_come_is_not_told_as_complete(experiment):
    add(experiment, "baseline", 1, 100.0)
    document = results_document(experiment)

    baseline = document["arms"]["baseline"]
    assert (baseline["status"], baseline["runs_completed"]) == ("queued", 1)
    assert baseline["attempts"] == 1
    assert "2 of 3 runs did not complete" in baseline["error"]
    assert [run["status"] for run in document["runs"]] == ["completed"] + ["queued"] * 5


def test_a_failed_seed_counts_in_its_arm(experiment):
    add(experiment, "baseline", 1, 100.0)
    add(experiment, "baseline", 2, 0.0, success=False)
    add(experiment, "baseline", 3, 120.0)

    baseline = results_document(experiment)["arms"]["baseline"]
    assert (baseline["status"], baseline["runs_completed"]) == ("failed", 2)
    assert baseline["final_return"] == 110.0
    assert "seed 2: boom" in baseline["error"]


def test_everything_is_derived_for_arms_times_seeds(experiment):
    for run in experiment.runs():
        paths = experiment.paths.run(run)
        with JournalWriter(paths.journal) as journal, JournalWriter(paths.events) as events:
            events.append("attempt_started", 0, attempt=1, pid=1)
            for step in (1024, 2048):
                events.append("resources", step, cpu_percent=90.0, memory_mb=200.0, pss_mb=80.0)
                journal.append("evaluation", step, metrics={"eval/return_mean": step + run.seed})
            journal.append("finished", 2048, metrics={"final/total_steps": 2048})
        add(experiment, run.arm, run.seed, 100.0 + run.seed)
    experiment.stop()
    experiment.save()
    content = report_content(experiment, CONDITIONS)
    file = write_page(experiment.paths, content, storage_policy(experiment))
    page = file.read_text(encoding="utf-8")
    write_store(experiment, CONDITIONS)
    write_manifest(experiment.paths)

    root, names = experiment.experiment_dir, {run.name for run in experiment.runs()}
    assert "mean of 3 seeds" in page
    assert "3 of 3 scored" in page
    tables = json.loads((root / "metrics" / "tables.json").read_text())
    assert {name: len(table["rows"]) for name, table in tables.items()} == {
        "runs": 6,
        "arms": 2,
        "evaluations": 12,
    }
    with (root / "metrics" / "eval__return_mean.csv").open(newline="") as file:
        rows = [(row["arm"], row["seed"]) for row in csv.DictReader(file)]
    assert rows == [(run.arm, str(run.seed)) for run in experiment.runs() for _ in range(2)]
    single = json.loads((root / "metrics" / "single_values.json").read_text())
    assert set(single["final/total_steps"]) == names
    memory = json.loads(experiment.paths.memory_usage.read_text())
    assert set(memory["runs"]) == names
    assert memory["total"]["peak_pss_mb"] >= 80.0
    files = [file["path"] for file in json.loads(experiment.paths.manifest.read_text())["files"]]
    assert "runs/variant_seed3/result.json" in files
