"""An experiment that others work on, written by those who write it in earnest."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from src.experiments.cli.following import CHECK_EVERY_SECONDS, Follower
from src.experiments.cli.snapshot import Snapshot
from src.experiments.domain.errors import StorageError
from src.experiments.domain.records import ResourceSample, RunKey, RunProgress, RunStatus
from src.experiments.durability.lock import FileLock
from src.experiments.experiment import Experiment

from .written_experiments import FIRST, SECOND, Training, new_experiment, write_session


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return new_experiment(tmp_path)


@pytest.fixture
def worked_on(experiment: Experiment) -> Iterator[Experiment]:
    """The experiment, running: this process holds its lock."""
    experiment.publish()
    with FileLock(experiment.paths.lock):
        experiment.begin()
        yield experiment


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def by_run(snapshot: Snapshot) -> dict[RunKey, RunProgress]:
    return {progress.run: progress for progress in snapshot.runs}


def test_runs_are_followed_from_the_queue_to_their_end(worked_on: Experiment) -> None:
    follower = Follower(worked_on.paths)
    queued = follower.snapshot()
    first = Training(worked_on, FIRST).start().row(1024, 20.0)
    running = follower.snapshot()
    first.row(4096, 90.0).end(RunStatus.COMPLETED)
    done = follower.snapshot()

    assert follower.end is None
    assert [run.run for run in queued.runs] == worked_on.runs()
    assert queued.counts == {RunStatus.QUEUED: 4}
    assert (queued.phase, running.phase, done.phase) == (
        "initializing",
        "running baseline",
        "running",
    )
    now = by_run(running)[FIRST]
    assert (now.status, now.step, now.returns_mean) == (RunStatus.RUNNING, 1024, 20.0)
    assert running.seconds_left == pytest.approx(3.072 + 3 * 4.096)
    assert by_run(done)[FIRST].status is RunStatus.COMPLETED
    assert done.arms[0].returns == (90.0,)


def test_a_torn_last_line_waits(worked_on: Experiment) -> None:
    training = Training(worked_on, FIRST).start().row(1024, 20.0)
    with training.paths.journal.open("ab") as file:
        file.write(b'{"kind": "metrics", "step": 2048, "metr')

    assert by_run(Follower(worked_on.paths).snapshot())[FIRST].step == 1024


def test_a_run_that_is_tried_again_waits_where_it_stood(worked_on: Experiment) -> None:
    follower = Follower(worked_on.paths)
    training = Training(worked_on, FIRST).start().row(2048, 20.0)
    follower.snapshot()
    training.end(RunStatus.FAILED, "RuntimeError: joint 3 exploded")
    failed = by_run(follower.snapshot())[FIRST]
    training.attempts.prepare()
    waiting = by_run(follower.snapshot())[FIRST]
    training.attempts.started(os.getpid())
    training.row(2560, 3.0)
    again = by_run(follower.snapshot())[FIRST]

    assert (failed.status, failed.error) == (RunStatus.FAILED, "RuntimeError: joint 3 exploded")
    assert (waiting.status, waiting.step) == (RunStatus.QUEUED, 2048)
    assert (again.status, again.step, again.attempt) == (RunStatus.RUNNING, 2560, 2)


def test_runs_of_an_earlier_session_wait_to_be_trained_again(worked_on: Experiment) -> None:
    Training(worked_on, FIRST).start().row(4096, 90.0).end(RunStatus.COMPLETED)
    Training(worked_on, SECOND).start().row(2048, 20.0)  # and its orchestrator was killed
    write_session(worked_on, datetime(2300, 1, 1, tzinfo=UTC), "experiments", "run")

    progress = by_run(Follower(worked_on.paths).snapshot())

    assert progress[FIRST].status is RunStatus.COMPLETED
    assert (progress[SECOND].status, progress[SECOND].step) == (RunStatus.QUEUED, 0)


def test_all_runs_ended_means_that_they_are_compared(worked_on: Experiment) -> None:
    for run in worked_on.runs():
        Training(worked_on, run).start().row(4096, 90.0).end(RunStatus.COMPLETED)

    assert Follower(worked_on.paths).snapshot().phase == "comparing"


def test_the_end_is_seen_when_the_lock_is_free(experiment: Experiment) -> None:
    clock = Clock()
    experiment.publish()
    waiting = Follower(experiment.paths, clock=clock)
    assert (waiting.end, waiting.snapshot().phase) == (None, "created")
    with FileLock(experiment.paths.lock):
        experiment.begin()
        follower = Follower(experiment.paths, clock=clock)
        experiment.stop(failed=True)
        experiment.save()  # while the report is written the lock is held
        clock.now += CHECK_EVERY_SECONDS
        assert (follower.snapshot().phase, follower.end) == ("initializing", None)
    assert follower.snapshot().phase == "initializing"  # the lock is not asked at each snapshot
    clock.now += CHECK_EVERY_SECONDS

    assert follower.snapshot().phase == "failed"
    with FileLock(experiment.paths.lock):  # somebody begins to continue it
        clock.now += CHECK_EVERY_SECONDS
        assert (follower.snapshot().phase, follower.end) == ("failed", "failed")


def test_an_experiment_that_is_removed_meanwhile_is_an_error(worked_on: Experiment) -> None:
    clock = Clock()
    follower = Follower(worked_on.paths, clock=clock)
    worked_on.paths.lock.unlink()
    worked_on.paths.experiment.unlink()
    clock.now += CHECK_EVERY_SECONDS

    with pytest.raises(StorageError, match="No such file"):
        follower.snapshot()


def test_a_killed_orchestrator_is_recognised(experiment: Experiment) -> None:
    experiment.publish()
    with FileLock(experiment.paths.lock):
        experiment.begin()
        Training(experiment, FIRST).start().row(1024, 20.0)

    follower = Follower(experiment.paths)
    snapshot = follower.snapshot()

    assert (follower.end, snapshot.phase, snapshot.seconds_left) == ("stopped", "stopped", None)
    left = by_run(snapshot)[FIRST]
    assert (left.status, left.step, left.seconds_left) == (RunStatus.INTERRUPTED, 1024, None)


def test_what_the_running_runs_use_is_summed_up(worked_on: Experiment) -> None:
    follower = Follower(worked_on.paths)
    for run, pss_mb in ((FIRST, 300.0), (SECOND, None)):
        training = Training(worked_on, run).start()
        sample = ResourceSample(0.0, 98.0, memory_mb=400.0, pss_mb=pss_mb, disk_free_mb=9000.0)
        training.attempts.sampled(sample, 0)
    used = follower.snapshot().used
    training.end(RunStatus.COMPLETED)

    assert used is not None
    assert (used.cores_busy, used.memory_mb, used.disk_free_mb) == (1.96, 700.0, 9000.0)
    assert used.gpu_memory_mb is None
    assert (follower.snapshot().used or used).memory_mb == 300.0


def test_a_damaged_run_is_named_once_and_the_others_are_followed(
    worked_on: Experiment, caplog: pytest.LogCaptureFixture
) -> None:
    Training(worked_on, FIRST).start().row(1024, 20.0)
    broken = Training(worked_on, SECOND).start()
    broken.paths.journal.write_bytes(b"nonsense\n" + broken.paths.journal.read_bytes())
    follower = Follower(worked_on.paths)

    for _ in range(3):
        progress = by_run(follower.snapshot())

    assert progress[FIRST].step == 1024
    assert progress[SECOND].status is RunStatus.QUEUED
    (warning,) = caplog.messages
    assert warning.startswith("variant_seed1 is no longer followed: ")
    assert "journal.jsonl: a line in the middle is not a record: b'nonsense'" in warning


def test_an_experiment_that_cannot_be_read_is_an_error(experiment: Experiment) -> None:
    experiment.publish()
    experiment.paths.experiment.write_text("{")

    with pytest.raises(StorageError, match="not valid JSON"):
        Follower(experiment.paths)


def test_the_elapsed_time_is_that_of_the_latest_session(worked_on: Experiment) -> None:
    began = datetime.fromtimestamp(datetime.now(UTC).timestamp() - 75, UTC)
    write_session(worked_on, began, "experiments", "run")

    assert 75 <= Follower(worked_on.paths).snapshot().elapsed_seconds < 85


def test_of_many_runs_only_those_are_opened_that_have_news(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = new_experiment(tmp_path, seeds=100)
    experiment.publish()
    with FileLock(experiment.paths.lock):
        experiment.begin()
        for seed in range(1, 6):
            Training(experiment, RunKey("baseline", seed)).start().row(4096, 1.0).end(
                RunStatus.COMPLETED
            )
        training = Training(experiment, RunKey("variant", 1)).start()
        follower = Follower(experiment.paths)
        follower.snapshot()
        training.row(1024, 2.0)
        asked: list[object] = []
        stat = os.stat
        monkeypatch.setattr(os, "stat", lambda name, **how: asked.append(name) or stat(name, **how))

        assert follower.snapshot().counts == {
            RunStatus.COMPLETED: 5,
            RunStatus.RUNNING: 1,
            RunStatus.QUEUED: 194,
        }
    streams = [os.fspath(training.paths.events), os.fspath(training.paths.journal)]
    assert [name for name in asked if "runs" in str(name)] == streams


def test_a_first_snapshot_that_has_no_time_leaves_the_rest_to_the_next(
    worked_on: Experiment,
) -> None:
    for run in (FIRST, SECOND):
        Training(worked_on, run).start().row(4096, 90.0).end(RunStatus.COMPLETED)
    ticks = iter(range(1000))
    follower = Follower(worked_on.paths, patience_seconds=1.0, clock=lambda: next(ticks) * 0.7)

    hurried, whole = follower.snapshot(), follower.snapshot()

    assert (hurried.phase, hurried.counts[RunStatus.COMPLETED]) == ("reading", 1)
    assert (whole.phase, whole.counts[RunStatus.COMPLETED]) == ("running", 2)
    assert hurried.seconds_left is None
