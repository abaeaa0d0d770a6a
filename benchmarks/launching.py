"""How soon a further run starts in a warm pool, for `pair.py --eight` and `language_start.py`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from src.experiments.domain.paths import RunPaths
from src.experiments.domain.records import EvaluationProtocol, RunKey, TrainerConfig
from src.experiments.durability.journal import read_journal
from src.experiments.execution import (
    Executor,
    ExecutorSettings,
    Job,
    Outcome,
    OutcomeKind,
    create_executor,
)
from src.experiments.training import train_run, warm_ups

STEPS = 64


def launch_seconds(count: int) -> tuple[list[float], list[float]]:
    """Seconds from `submit` to the job's first line, and to a run's first environment step."""
    settings = ExecutorSettings(slots=2, preload=warm_ups(["PPO"]))
    with tempfile.TemporaryDirectory() as folder, create_executor("process", settings) as executor:
        launch(executor, time.monotonic)  # waits until the pool is warm
        first_line = [launch(executor, time.monotonic) for _ in range(count)]
        first_step = [
            launch(executor, partial(first_step_time, Path(folder) / str(number)))
            for number in range(count)
        ]
    return first_line, first_step


def first_step_time(folder: Path) -> float:
    """Train a run of a few steps; the time of its first one, by the machine's one clock."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    noted: list[float] = []
    original = DummyVecEnv.step_wait

    def step_wait(self: DummyVecEnv) -> object:
        noted.append(time.monotonic())
        return original(self)

    DummyVecEnv.step_wait = step_wait
    folder.mkdir()
    train_run(
        TrainerConfig(
            "PPO",
            "CartPole-v1",
            STEPS,
            seed=0,
            hyperparameters={"n_steps": STEPS},
            evaluation=EvaluationProtocol(STEPS, 1, final_episodes=1),
            run_dir=folder,
        )
    )
    return noted[0]


def begun_at(folder: Path) -> float:
    """Train a language model for a step; the time at which the journal began, by that clock."""
    offset = time.monotonic() - time.time()
    folder.mkdir()
    settings = {"num_generations": 4, "per_device_train_batch_size": 8, "max_completion_length": 8}
    protocol = EvaluationProtocol(1, 1, deterministic=False, final_episodes=1)
    train_run(
        TrainerConfig(
            "GRPO",
            "arithmetic",
            1,
            seed=0,
            hyperparameters=settings,
            evaluation=protocol,
            device="cpu",
            run_dir=folder,
        )
    )
    return float(read_journal(RunPaths(folder).journal)[0]["time"]) + offset


def launch(executor: Executor, target: Callable[[], float]) -> float:
    """Seconds from submitting a job to the time that it returns."""
    job = Job("launch", (RunKey("baseline", 0),), target)
    submitted = time.monotonic()
    executor.submit(job)
    while not isinstance(event := executor.next_event(1.0), Outcome):
        pass
    if event.kind is not OutcomeKind.FINISHED:
        raise event.as_exception()
    return float(event.value) - submitted
