"""Trackers beside training: what fails to be told is told later, and training does not notice."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.experiments.config import parse_experiment
from src.experiments.domain.paths import ExperimentPaths
from src.experiments.durability.journal import read_journal
from src.experiments.experiment import Experiment
from src.experiments.outputs.uploads import tellings_of
from src.experiments.runner import ExperimentRunner
from src.experiments.tracking.choosing import TrackingChoice
from src.experiments.tracking.ledger import TellingState, read_ledger
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
METRIC = "rollouts/returns_mean"


def begin(folder: Path, *words: str, module: str = "src.experiments.runner") -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", module, *words],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def experiment(folder: Path, steps: int) -> list[str]:
    """The words that start a pair of so many steps an arm."""
    (folder / "pair.json").write_text(json.dumps(pair(steps)))
    return ["--config", str(folder / "pair.json"), "--output-dir", str(folder), "--resume"]


def pair(steps: int) -> dict[str, Any]:
    return {
        "experiment_id": "pair",
        "hypothesis": "a shorter horizon is enough",
        "baseline_config": {
            "algorithm": "A2C",
            "environment": "CartPole-v1",
            "training_steps": steps,
            "hyperparameters": {"n_steps": 50},
        },
        "variant_config": {"extends": "baseline", "hyperparameters": {"gamma": 0.9}},
        "evaluation": {"frequency": 10**6, "episodes": 1, "final_episodes": 1},
        "checkpoint": {"frequency": 1000},
    }


def told(folder: Path, paths: ExperimentPaths, run: str) -> list[int]:
    """The steps at which a metric was told."""
    files = folder / "board" / paths.experiment_id / run
    found = EventAccumulator(str(files), size_guidance={"tensors": 0}).Reload()
    return [each.step for each in found.Tensors(METRIC)]


def recorded(paths: ExperimentPaths, run: str) -> list[int]:
    records = read_journal(paths.root / "runs" / run / "journal.jsonl")
    return [each["step"] for each in records if METRIC in each.get("metrics", {})]


def test_who_disables_weights_and_biases_by_a_variable_is_heeded_in_a_program_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = pair(200) | {"trackers": ["wandb", "tensorboard"]}
    experiment = Experiment.from_config(parse_experiment(document), tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")

    assert [each.tracker for each in tellings_of(experiment, TrackingChoice())] == ["tensorboard"]


@pytest.mark.slow
def test_what_could_not_be_told_is_named_and_told_later(tmp_path: Path) -> None:
    paths = ExperimentPaths(tmp_path / "pair", "pair")
    (tmp_path / "blocked").write_text("a file, and no folder")
    words = [*experiment(tmp_path, 400), "--log-dir", str(tmp_path / "blocked")]
    command = begin(tmp_path, *words)
    _, said = command.communicate(timeout=HANG_SECONDS)

    assert command.returncode == 5
    assert "upload to tensorboard is incomplete" in said
    assert f"sync {paths.root} --to tensorboard" in said
    assert json.loads(paths.results.read_text())["status"] == "completed"
    assert read_ledger(paths.ledger)["tensorboard"].state is TellingState.PENDING

    words = ["sync", str(paths.root), "--to", "tensorboard", "--log-dir", str(tmp_path / "board")]
    later = begin(tmp_path, *words, module="src.experiments")
    later.communicate(timeout=HANG_SECONDS)

    assert later.returncode == 0
    for run in ("baseline_seed0", "variant_seed0"):
        assert told(tmp_path, paths, run) == recorded(paths, run)


def refuse(*_: object) -> None:
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


def test_training_goes_on_where_no_process_is_to_be_had_for_the_trackers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.experiments.execution.ProcessPoolExecutor.__enter__", refuse)
    document = pair(200) | {"trackers": ["tensorboard"]}
    experiment = Experiment.from_config(parse_experiment(document), tmp_path)

    assert ExperimentRunner(experiment, executor="in_process").run()
    entry = read_ledger(experiment.paths.ledger)["tensorboard"]
    assert entry.state is TellingState.PENDING
    assert "Resource temporarily unavailable" in str(entry.error)
    assert experiment.paths.report_page.is_file()


def test_uploads_go_on_when_processes_are_to_be_had_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "k3y9" * 10
    monkeypatch.setenv("WANDB_API_KEY", key)

    class Unlucky(ExperimentRunner):
        """Its trackers' processes are lost once, with a secret in their log."""

        is_over = False

        def _tick(self) -> None:
            session, _ = self._active()
            pool = session.uploads._pool
            if pool is None or self.is_over:
                super()._tick()
                return
            self.is_over = True
            log = self.experiment.paths.tracker_log("tensorboard")
            log.parent.mkdir(exist_ok=True)
            log.write_text(f"logged in with {key}\n")
            pool.next_event = refuse
            super()._tick()
            assert key not in log.read_text()

    document = pair(200) | {"trackers": ["tensorboard"]}
    experiment = Experiment.from_config(parse_experiment(document), tmp_path)
    runner = Unlucky(experiment, tracking=TrackingChoice(log_dir=tmp_path / "board"))

    assert runner.run()
    assert runner.is_over
    assert read_ledger(experiment.paths.ledger)["tensorboard"].state is TellingState.COMPLETE


@pytest.mark.slow
def test_an_interrupted_experiment_is_told_on_when_it_is_continued(tmp_path: Path) -> None:
    paths = ExperimentPaths(tmp_path / "pair", "pair")
    words = [*experiment(tmp_path, 16_000), "--log-dir", str(tmp_path / "board")]
    command = begin(tmp_path, *words)
    wait_until(lambda: read_ledger(paths.ledger), "something is told")
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=HANG_SECONDS)

    assert command.returncode == -signal.SIGINT
    assert read_ledger(paths.ledger)["tensorboard"].state is TellingState.OPEN

    again = begin(tmp_path, *words)
    again.communicate(timeout=HANG_SECONDS)

    assert again.returncode == 0
    assert read_ledger(paths.ledger)["tensorboard"].state is TellingState.COMPLETE
    for run in ("baseline_seed0", "variant_seed0"):
        assert sorted(set(told(tmp_path, paths, run))) == recorded(paths, run)
