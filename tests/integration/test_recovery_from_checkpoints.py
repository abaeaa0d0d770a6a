"""A failed run is tried again from its last checkpoint, and ends as if it had not failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from src.experiments.domain.records import RunKey
from src.experiments.durability.journal import read_journal
from src.experiments.experiment import Experiment
from src.experiments.runner import ExecutionMode, ExperimentRunner

pytestmark = pytest.mark.integration

MODULE = "tests.integration.flaky_environments"
BASELINE = RunKey("baseline", 3)


def flaky_pair(
    folder: Path, *, recovery: dict[str, Any] | None = None, **arguments: Any
) -> Experiment:
    """A pair whose baseline fails as the arguments say, with a checkpoint every 256 steps."""
    given = {"folder": str(folder), "times": 0}
    baseline = {
        "algorithm": "PPO",
        "environment": "FlakyCartPole-v0",
        "environment_kwargs": {**given, **arguments},
        "hyperparameters": {"n_steps": 128, "batch_size": 64, "n_epochs": 2},
        "training_steps": 2000,
        "seed": 3,
    }
    variant = {"extends": "baseline", "environment_kwargs": {"times": 0}, "seed": 3}
    variant["hyperparameters"] = {"gamma": 0.9}
    return Experiment(
        baseline,
        variant,
        "what fails once is tried again",
        experiment_id="flaky",
        output_dir=folder,
        environment_modules=[MODULE],
        evaluation={"frequency": 1000, "episodes": 1, "final_episodes": 1},
        checkpoint={"frequency": 256},
        allow_different_environments=True,
        **({} if recovery is None else {"recovery": recovery}),
    )


def run(experiment: Experiment, kind: type[ExperimentRunner] = ExperimentRunner) -> bool:
    return kind(experiment, ExecutionMode.SEQUENTIAL, enable_monitoring=False).run()


def undisturbed_sha256(folder: Path, **arguments: Any) -> str | None:
    folder.mkdir()
    experiment = flaky_pair(folder, **arguments)
    assert run(experiment)
    return experiment.results[BASELINE].parameters_sha256


def events_of(experiment: Experiment, kind: str) -> list[dict[str, Any]]:
    events = read_journal(experiment.paths.run(BASELINE).events)
    return [event for event in events if event["kind"] == kind]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["error", "kill"])
def test_a_retry_goes_on_from_the_last_checkpoint_to_the_same_bits(
    tmp_path: Path, how: str
) -> None:
    expected = undisturbed_sha256(tmp_path / "undisturbed")
    experiment = flaky_pair(tmp_path, recovery={"strategy": "retry"}, times=1, how=how)

    assert run(experiment)

    result = experiment.results[BASELINE]
    (rewound,) = events_of(experiment, "rewound")
    assert (result.attempts, result.resumed_from_steps) == (2, (1024,))
    assert (rewound["step"], rewound["attempt"]) == (1024, 2)
    assert result.parameters_sha256 == expected
    assert result.resume == "exact"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "fault"), [("error", "run"), ("memory", "machine"), ("kill", "machine")]
)
def test_whose_fault_it_was_is_recorded(tmp_path: Path, how: str, fault: str) -> None:
    experiment = flaky_pair(tmp_path, recovery={"strategy": "skip"}, times=1, how=how)

    run(experiment)

    (ended,) = [e for e in events_of(experiment, "attempt_ended") if e["outcome"] == "failed"]
    assert ended["fault"] == fault
    assert experiment.results[BASELINE].fault == fault


@pytest.mark.slow
def test_the_same_failure_at_the_same_step_is_not_met_a_third_time(tmp_path: Path) -> None:
    recovery = {"strategy": "retry", "max_retries": 5}
    experiment = flaky_pair(tmp_path, recovery=recovery, times=9)

    assert not run(experiment)

    assert experiment.results[BASELINE].attempts == 2


@pytest.mark.slow
def test_a_lack_of_memory_is_met_as_often_as_is_allowed(tmp_path: Path) -> None:
    recovery = {"strategy": "retry", "max_retries": 2}
    experiment = flaky_pair(tmp_path, recovery=recovery, times=9, how="memory")

    assert not run(experiment)

    assert experiment.results[BASELINE].attempts == 3


class SmallerBatch(ExperimentRunner):
    """Recovers as the documents show: from a lack of memory with a smaller batch."""

    def handle_failure(
        self,
        error: Exception,
        config_type: str | None = None,
        recovery_strategy: str = "abort",
    ) -> bool:
        if isinstance(error, MemoryError):
            return self._retry_with_smaller_batch(config_type)
        return super().handle_failure(error, config_type, recovery_strategy)


@pytest.mark.slow
def test_a_retry_with_a_smaller_batch_goes_on_and_is_marked_as_deviating(tmp_path: Path) -> None:
    experiment = flaky_pair(tmp_path, times=1, how="memory")

    assert run(experiment, SmallerBatch)

    result = experiment.results[BASELINE]
    assert result.resumed_from_steps == (1024,)
    assert result.deviations == ("batch_size 32 instead of 64 after a failure",)
    assert any("batch_size 32" in warning for warning in experiment.warnings)


@pytest.mark.slow
def test_a_pause_before_each_further_attempt_doubles(tmp_path: Path) -> None:
    recovery = {"strategy": "retry", "max_retries": 2}
    experiment = flaky_pair(tmp_path, recovery=recovery, times=2, how="memory")

    assert run(experiment)

    queued = events_of(experiment, "attempt_queued")
    assert [event["after_seconds"] for event in queued] == [0.5, 1.0]


@pytest.mark.slow
def test_a_deviation_is_remembered_by_the_orchestrator_that_continues(tmp_path: Path) -> None:
    experiment = flaky_pair(tmp_path, times=1, how="memory")

    class Interrupted(SmallerBatch):
        """Stops in the attempt that has the smaller batch, once that has saved a checkpoint."""

        def _tick(self) -> None:
            super()._tick()
            saved = [event["attempt"] for event in events_of(self.experiment, "checkpoint")]
            if 2 in saved:
                self.interrupt()

    run(experiment, Interrupted)
    continued = Experiment.load(experiment.paths.root, environment_modules=[MODULE])

    assert run(continued, SmallerBatch)
    assert continued.results[BASELINE].deviations == (
        "batch_size 32 instead of 64 after a failure",
    )


@pytest.mark.slow
def test_events_tell_of_each_checkpoint(tmp_path: Path) -> None:
    experiment = flaky_pair(tmp_path)
    run(experiment)

    steps = [event["step"] for event in events_of(experiment, "checkpoint")]
    assert steps
    assert steps == sorted(set(steps))
    assert all(step % 128 == 0 for step in steps)
