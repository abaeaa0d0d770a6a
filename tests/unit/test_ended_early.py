"""Whoever counts runs or steps of an experiment that a rule has ended counts the same ones."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from src.experiments.cli.app import main
from src.experiments.cli.stored import StoredExperiment, find, read
from src.experiments.cli.syncing import _settle
from src.experiments.domain.records import RunKey, RunProgress, RunStatus
from src.experiments.domain.verdicts import Verdict
from src.experiments.durability.journal import read_journal
from src.experiments.execution import RunAttempts
from src.experiments.experiment import Experiment
from src.experiments.monitoring import JournalProgress
from src.experiments.outputs.derived import write_results
from src.experiments.tracking.series import text_of

from .ended_early import PART, STEPS, aborted_in_training, results_of, stopped_at_a_look


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return stopped_at_a_look(tmp_path_factory.mktemp("stopped"))


@pytest.fixture(scope="module")
def aborted(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return aborted_in_training(tmp_path_factory.mktemp("aborted"))


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Any:
    def tell(experiment: Experiment, *words: str) -> str:
        assert main([*words, "--output-dir", str(experiment.output_dir)]) == 0
        return capsys.readouterr().out

    return tell


def stored(experiment: Experiment) -> StoredExperiment:
    return read(find(experiment.output_dir, experiment.experiment_id))


def line_of(text: str, beginning: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"{beginning}  ")]
    return line.split()


def test_the_experiments_are_what_they_are_taken_for(
    stopped: Experiment, aborted: Experiment
) -> None:
    assert stopped.comparison.verdict is Verdict.VARIANT_BETTER
    assert stopped.comparison.n_per_arm == {"baseline": 6, "variant": 6}
    assert aborted.comparison.verdict is Verdict.STOPPED_FOR_FUTILITY
    statuses = [(run["status"], run["analysed"]) for run in results_of(aborted)["runs"][:8]]
    assert (
        statuses == [("completed", True)] * 4 + [("cancelled", True)] + [("cancelled", False)] * 3
    )


def test_after_a_look_everything_counts_the_analysed_runs(stopped: Experiment, told: Any) -> None:
    arms = results_of(stopped)["arms"]
    assert [(a["runs_completed"], a["total_timesteps"]) for a in arms.values()] == [
        (6, 6 * STEPS)
    ] * 2
    assert [(s.runs_done, s.runs_planned) for s in [stored(stopped)]] == [(12, 12)]
    assert "12/12" in told(stopped, "list")
    assert "12/12 runs (4 more were not needed)" in told(stopped, "list", "-v")
    shown = told(stopped, "show", "stopped")
    for arm in arms:
        assert line_of(shown, arm)[1] == "6/6"
        assert line_of(shown, arm)[-3] == "12,288"
    compared = told(stopped, "compare", "stopped")
    assert "warning" not in compared
    assert line_of(compared, "seeds") == ["seeds", "6/6", "6/6"]
    assert line_of(compared, "steps") == ["steps", "12,288", "12,288"]
    assert stopped.arm_result("baseline").total_timesteps == 6 * STEPS  # type: ignore[union-attr]
    planned = told(stopped, "power", "--effect", "20", "--pilot", "stopped")
    assert "without a score" not in planned


def test_what_was_not_needed_is_told_in_a_note(
    stopped: Experiment, aborted: Experiment, told: Any
) -> None:
    spent = f"4 planned runs were not needed, but {2 * PART:,} of their steps were trained"

    assert f"note     {spent}" in told(stopped, "show", "stopped")
    assert f"note: [1] {spent}" in told(stopped, "compare", "stopped")
    assert "note     6 planned runs were not needed\n" in told(aborted, "show", "aborted")
    assert "note: [1] 6 planned runs were not needed\n" in told(aborted, "compare", "aborted")


def test_a_program_is_told_the_same(stopped: Experiment, told: Any) -> None:
    (entry,) = json.loads(told(stopped, "list", "--json"))["experiments"]
    assert (entry["runs_done"], entry["runs"], entry["runs_not_needed"]) == (12, 12, 4)

    found = json.loads(told(stopped, "compare", "stopped", "--json"))
    (compared,) = found["experiments"]
    assert compared["is_complete"]
    assert found["warnings"] == []
    assert len(found["notes"]) == 1
    document = results_of(stopped)
    for arm, figures in compared["arms"].items():
        own = document["arms"][arm]
        assert figures["total_timesteps"] == own["total_timesteps"]
        assert figures["training_time"] == own["training_time"]
        assert figures["runs_completed"] == figures["runs_planned"] == own["runs_completed"]
        assert figures["runs_not_needed"] == 2


def test_a_table_of_the_arms_is_that_of_the_results(stopped: Experiment, told: Any) -> None:
    text = told(stopped, "export", "stopped", "--what", "arms", "--format", "csv")
    rows = {row["arm"]: row for row in csv.DictReader(io.StringIO(text))}

    for arm, own in results_of(stopped)["arms"].items():
        for name in ("total_timesteps", "runs_completed", "attempts"):
            assert rows[arm][name] == str(own[name])


def test_after_an_end_in_mid_training_the_runs_that_were_looked_at_count(
    aborted: Experiment, told: Any
) -> None:
    steps = 4 * STEPS + PART
    assert [a["total_timesteps"] for a in results_of(aborted)["arms"].values()] == [steps] * 2
    assert "8/10" in told(aborted, "list")
    shown, compared = told(aborted, "show", "aborted"), told(aborted, "compare", "aborted")
    assert line_of(shown, "baseline")[1] == "4/5"
    assert line_of(shown, "baseline")[-3] == f"{steps:,}"
    assert line_of(compared, "steps")[1:] == [f"{steps:,}"] * 2
    words = "[1] was stopped during training: 8 of 10 runs complete, and scores cover only these"
    assert words in " ".join(compared.split())


def test_a_run_that_was_complete_beyond_the_look_counts_nowhere(tmp_path: Path, told: Any) -> None:
    experiment = stopped_at_a_look(tmp_path)
    run = RunKey("baseline", 6)
    done = replace(experiment.results[RunKey("baseline", 5)], seed=6, final_return=900.0)
    experiment.add_result("baseline", done)
    experiment.save()
    write_results(experiment)

    assert not experiment.is_needed(run)
    assert (stored(experiment).runs_done, stored(experiment).runs_planned) == (12, 12)
    assert line_of(told(experiment, "show", "stopped"), "baseline")[1:3] == ["6/6", "101.7"]
    compared = told(experiment, "compare", "stopped")
    assert line_of(compared, "seeds")[1:] == ["6/6", "6/6"]
    assert line_of(compared, "steps")[1:] == ["12,288", "12,288"]


@pytest.mark.parametrize("make", [stopped_at_a_look, aborted_in_training])
def test_sync_settles_an_experiment_that_ended_early(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make(tmp_path)
    settled = []
    monkeypatch.setattr(
        "src.experiments.cli.syncing.keep_what_is_kept", lambda *told: settled.append(told)
    )

    _settle(experiment.paths)

    assert len(settled) == 1


# ---- attempts


def test_a_run_that_never_began_has_no_attempt(stopped: Experiment, told: Any) -> None:
    begun, never = RunKey("baseline", 6), RunKey("baseline", 7)
    attempts = {
        RunKey(run["arm"], run["seed"]): run["attempts"] for run in results_of(stopped)["runs"]
    }
    state = json.loads(stopped.paths.final_state.read_text())
    text = told(stopped, "export", "stopped", "--what", "runs", "--format", "csv")
    rows = {
        RunKey(row["arm"], int(row["seed"])): row["attempts"]
        for row in csv.DictReader(io.StringIO(text))
    }

    for run, count in ((begun, 1), (never, 0)):
        assert attempts[run] == count
        assert rows[run] == str(count)
        assert state[run.name] == {"status": "cancelled", "attempt": count}
        assert JournalProgress(stopped.paths.run(run), run).read().attempt == count
        (ended,) = [
            event
            for event in read_journal(stopped.paths.run(run).events)
            if event["kind"] == "attempt_ended"
        ]
        assert ended["attempt"] == count
        level, words = text_of(ended)
        assert (level, words.startswith("attempt 1 ")) == ("INFO", bool(count))
    assert line_of(told(stopped, "show", "stopped"), never.name)[-1] == "0"


def test_a_run_that_is_cancelled_before_its_second_attempt_has_made_one(tmp_path: Path) -> None:
    run = RunKey("baseline", 1)
    experiment = Experiment(
        {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": 64, "seed": 1},
        {"extends": "baseline", "hyperparameters": {"gamma": 0.9}},
        "x",
        output_dir=tmp_path,
    )
    experiment.publish()
    files = experiment.paths.run(run)
    first = RunAttempts(run, files)
    first.prepare()
    first.started(pid=1)
    first.ended(RunStatus.INTERRUPTED, 5, "stopped")
    second = RunAttempts(run, files)
    assert (second.prepare(), second.number) == (2, 1)

    second.ended(RunStatus.CANCELLED, 5, "not needed any more")
    later = RunAttempts(run, files)
    later.ended(RunStatus.CANCELLED, 5, "not needed any more")

    assert (second.number, later.number) == (1, 1)
    assert JournalProgress(files, run).read().attempt == 1
    assert RunAttempts(run, files).prepare() == 3


def test_before_the_first_attempt_there_is_none(tmp_path: Path) -> None:
    run = RunKey("baseline", 1)

    assert RunProgress(run, RunStatus.QUEUED, 0, 1).attempt == 0
