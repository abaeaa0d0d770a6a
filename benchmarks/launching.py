"""How soon a further run starts in the warm pool; `pair.py --eight` prints it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from src.experiments.domain.records import EvaluationProtocol, RunKey, TrainerConfig
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
        _launch(executor, time.monotonic)  # waits until the pool is warm
        first_line = [_launch(executor, time.monotonic) for _ in range(count)]
        first_step = [
            _launch(executor, partial(first_step_time, Path(folder) / str(number)))
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


def _launch(executor: Executor, target: Callable[[], float]) -> float:
    """Seconds from submitting a job to the time that it returns."""
    job = Job("launch", (RunKey("baseline", 0),), target)
    submitted = time.monotonic()
    executor.submit(job)
    while not isinstance(event := executor.next_event(1.0), Outcome):
        pass
    if event.kind is not OutcomeKind.FINISHED:
        raise event.as_exception()
    return float(event.value) - submitted
