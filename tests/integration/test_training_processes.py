"""Runs in processes that a warm server forked: equal bits, chosen threads, signs of life."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from src.experiments.domain.errors import ExperimentLockedError
from src.experiments.domain.paths import RunPaths
from src.experiments.domain.records import EvaluationProtocol, RunKey, TrainerConfig, TrainingResult
from src.experiments.durability.journal import read_journal
from src.experiments.durability.lock import FileLock
from src.experiments.execution import (
    Executor,
    ExecutorSettings,
    Job,
    Outcome,
    OutcomeKind,
    create_executor,
)
from src.experiments.training import Trainer, heartbeat, job, train_run, warm_ups
from src.experiments.training.determinism import torch_threads
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.integration

INTERVAL = 0.02
STILL_SECONDS = 0.5
"""A file that is not touched for so long belongs to a run without life."""
PPO = {"n_steps": 64, "batch_size": 64, "n_epochs": 2, "policy_kwargs": {"net_arch": [8]}}
MODULE = "tests.faults.broken_environments"


def with_quick_heartbeat(config: TrainerConfig) -> TrainingResult:
    heartbeat.INTERVAL_SECONDS = INTERVAL  # in a process of its own
    return train_run(config)


def broken(run_dir: Path, kind: str, *, steps: int = 128, **fields: Any) -> TrainerConfig:
    run_dir.mkdir(exist_ok=True)
    kwargs = {"kind": kind, "at": 30, **fields.pop("environment_kwargs", {})}
    return TrainerConfig(
        "PPO",
        "BrokenCartPole-v0",
        steps,
        seed=1,
        hyperparameters={**PPO, **fields.pop("hyperparameters", {})},
        environment_kwargs=kwargs,
        environment_modules=(MODULE,),
        evaluation=EvaluationProtocol(10**9, 1, final_episodes=1),
        run_dir=run_dir,
        **fields,
    )


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with create_executor(
        "process", ExecutorSettings(slots=4, preload=warm_ups(["PPO"]))
    ) as executor:
        yield executor


REHEARSING = """
import torch
from src.experiments.domain.records import RunKey, TrainerConfig
from src.experiments.training import rehearse_run

torch.set_num_threads(2)
torch.optim.Adam([torch.zeros(1)])  # the library wraps the step of the first one
step = torch.optim.Adam.step
settings = {"n_steps": 64, "batch_size": 64, "n_epochs": 1}
config = TrainerConfig("PPO", "CartPole-v1", 64, seed=1, hyperparameters=settings)
assert rehearse_run(RunKey("baseline", 1), config).steps_per_second > 0
assert torch.get_num_threads() == 2
assert torch.optim.Adam.step is step
"""


def outcomes(executor: Executor, *targets: Callable[[], Any]) -> list[Outcome]:
    for number, target in enumerate(targets):
        executor.submit(Job(f"job {number}", (RunKey("baseline", number),), target))
    found: list[Outcome] = []

    def have_all_come() -> bool:
        event = executor.next_event(0.2)
        found.extend([event] if isinstance(event, Outcome) else [])
        return len(found) == len(targets)

    wait_until(have_all_come, "every job ends")
    return sorted(found, key=lambda outcome: outcome.job.name)


def values(executor: Executor, *targets: Callable[[], Any]) -> list[Any]:
    return [outcome.value for outcome in outcomes(executor, *targets)]


# ---- threads and bits


def threads_at_work(count: int) -> tuple[int, int]:
    with torch_threads(count):
        square = torch.rand(400, 400)
        torch.mm(square, square)
        return torch.get_num_threads(), len(list(Path("/proc/self/task").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_a_child_of_the_one_thread_server_computes_with_as_many_threads_as_it_wants(
    pool: Executor,
) -> None:
    assert values(pool, *(partial(threads_at_work, count) for count in (1, 2))) == [(1, 1), (2, 2)]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_threads_are_recorded(pool: Executor, tmp_path: Path, threads: int) -> None:
    config = broken(tmp_path, "none", torch_threads=threads)
    values(pool, partial(train_run, config))
    started = read_journal(RunPaths(tmp_path).journal)[0]

    assert started["torch_threads"] == threads
    assert started["thread_environment"] == {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("algorithm", "environment"), [("PPO", "CartPole-v1"), ("SAC", "Pendulum-v1")]
)
def test_every_way_to_train_gives_the_same_bits(
    pool: Executor, algorithm: str, environment: str
) -> None:
    settings: dict[str, Any] = {"policy_kwargs": {"net_arch": [32]}}
    settings |= {"n_steps": 64} if algorithm == "PPO" else {"learning_starts": 110}
    protocol = EvaluationProtocol(64, 1, final_episodes=2)
    config = TrainerConfig(
        algorithm, environment, 128, seed=3, hyperparameters=settings, evaluation=protocol
    )
    target = partial(train_run, config)
    with create_executor("in_process", ExecutorSettings()) as here:
        results = [*values(pool, target, target), *values(pool, target), *values(here, target)]
    results.append(Trainer(config).train())

    assert len(results) == 5
    assert len({result.parameters_sha256 for result in results}) == 1


# ---- signs of life


def wait_for_touches(heartbeat: Path, count: int) -> None:
    """Wait until a heartbeat is there and was touched so many times."""
    wait_until(heartbeat.exists, "the run begins")
    for _ in range(count):
        before = heartbeat.stat().st_mtime_ns
        wait_until(lambda: heartbeat.stat().st_mtime_ns != before, "a sign of life")  # noqa: B023


def falls_still(heartbeat: Path) -> bool:
    """Whether a heartbeat stops while its file stays."""
    last, since = 0, time.monotonic()
    end = time.monotonic() + HANG_SECONDS
    while time.monotonic() < end:
        if heartbeat.exists() and (modified := heartbeat.stat().st_mtime_ns) != last:
            last, since = modified, time.monotonic()
        if last and time.monotonic() - since > STILL_SECONDS:
            return heartbeat.exists()
        time.sleep(INTERVAL / 2)
    return False


@pytest.fixture
def training(pool: Executor, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Starts runs in processes of their own, ended with the test; gives their heartbeats."""
    jobs: list[Job] = []

    def start(name: str, kind: str, **fields: Any) -> Path:
        config = broken(tmp_path / name, kind, **fields)
        jobs.append(Job(name, (RunKey("baseline", 0),), partial(with_quick_heartbeat, config)))
        pool.submit(jobs[-1])
        pool.next_event(0.5)
        return RunPaths(tmp_path / name).attempt(1).heartbeat

    yield start
    for each in jobs:
        pool.stop(each, OutcomeKind.HANG, TimeoutError())  # by force, soon
    ended: set[str] = set()

    def have_all_ended() -> bool:
        event = pool.next_event(0.2)
        ended.update({event.job.name} if isinstance(event, Outcome) else ())
        return len(ended) == len(jobs)

    wait_until(have_all_ended, "all are ended")


def test_a_run_that_hangs_gives_no_sign_of_life(training: Callable[..., Path]) -> None:
    kinds = ("sleep", "spin", "sleep in reset", "sleep in close")
    heartbeats = {kind: training(kind, kind) for kind in kinds}

    assert {kind: falls_still(path) for kind, path in heartbeats.items()} == dict.fromkeys(
        kinds, True
    )


def test_a_slow_run_gives_one_while_it_steps(training: Callable[..., Path]) -> None:
    steps = 10_000  # a rollout of these takes half an hour
    slow = {"environment_kwargs": {"seconds": 0.1}, "hyperparameters": {"n_steps": steps}}
    heartbeat = training("slow", "none", steps=2 * steps, n_envs=2, **slow)

    wait_for_touches(heartbeat, 5)


def test_a_long_update_gives_one_at_its_gradient_steps(training: Callable[..., Path]) -> None:
    steps = 8  # and no more signs of life than these before the update
    endless = {"n_steps": steps, "batch_size": steps, "n_epochs": 10**6}
    heartbeat = training("update", "none", hyperparameters=endless)

    wait_for_touches(heartbeat, 3 * steps)


@pytest.mark.slow
def test_a_run_that_ends_by_itself_takes_its_heartbeat_along(
    pool: Executor, tmp_path: Path
) -> None:
    finished, failed = outcomes(
        pool,
        partial(with_quick_heartbeat, broken(tmp_path / "a", "none")),
        partial(with_quick_heartbeat, broken(tmp_path / "b", "raise")),
    )

    assert (finished.kind, failed.kind) == (OutcomeKind.FINISHED, OutcomeKind.EXCEPTION)
    assert list(tmp_path.rglob("heartbeat")) == []
    assert len(list(tmp_path.rglob("attempt-1"))) == 2


# ---- attempts


@pytest.mark.slow
def test_a_later_attempt_waits_longer_for_an_earlier_one_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(job, "GIVEN_UP_SECONDS", HANG_SECONDS)
    earlier = FileLock(RunPaths(tmp_path).lock)
    earlier.__enter__()
    with pytest.raises(ExperimentLockedError):
        train_run(broken(tmp_path, "none", attempt=1))
    threading.Timer(1.0, earlier.__exit__, [None, None, None]).start()

    assert train_run(broken(tmp_path, "none", attempt=2)).success


@pytest.mark.slow
def test_a_rehearsal_leaves_the_process_that_asks_for_it_as_it_was() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", REHEARSING], cwd=root, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
