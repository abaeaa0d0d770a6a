"""A run in miniature: what the whole of it will take, found out in seconds or less."""

from __future__ import annotations

import math
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from ..config.algorithms import Family, is_language
from ..domain.paths import AttemptPaths
from ..domain.records import RunEstimate, RunKey, TrainerConfig
from ..domain.seeds import SeedStream, stream_seeds
from ..domain.units import MIB
from . import process_memory
from .backend import Backend, Description, create_backend
from .evaluation import Environment, parallel
from .language_rehearsal import rehearse_language
from .laps import LapTimer
from .recording import row_interval
from .sb3.first_step import warm_up
from .shortening import (
    Brevity,
    family_of,
    planned_timesteps,
    rows_kept,
    settings_of,
    shortened,
)

REHEARSED = Brevity(
    rollout_steps=1024,
    trained_steps=256,
    warm_up_steps=100,
    updated_steps=150,
    collected_steps=50,
    directions=4,
)

PROBED_ROLLOUT = 64
"""Timesteps of a probed rollout, before rounding up to whole minibatches."""
PROBED_WARM_UP = 16
"""Steps of each environment before the first update from a replay buffer."""
PROBED_COLLECTION = 8
"""Steps of each environment between two such updates."""
PROBED_LAPS = 4
"""Rollouts of a probe at most; from a replay buffer, so many times the warm-up is updated."""
LAP_SECONDS = 1.5
"""What the environments may take for one rollout or warm-up of a probe."""
ENOUGH_SECONDS = 0.1
"""A probe of so long ends once a lap was timed besides the first, which is slower."""
LONGEST_SECONDS = 5.0
"""A probe of so long ends at the next boundary."""
PACED_STEPS, PACED_SECONDS = 8, 0.25
"""How long an environment is stepped to find out how slow it is."""
WEIGHED_ENVIRONMENTS, WEIGHED_SECONDS = 12, 0.05
"""How many environments are made, and how long, to find out how much memory one takes."""

LATER_BYTES = 8 * MIB
"""What a whole run touches besides: long training, an evaluation, a save."""
ROW_BYTES = 1500
"""A journal row with all metrics of PPO."""
EPISODE_BYTES = 60
"""An episode in the journal and in the predictions."""
PARAMETER_BYTES = 12
"""A parameter in a saved model, with two moments of the optimiser."""

Finish = Callable[[Backend, Description], int]
"""What is done when the short training is over; returns the bytes of a saved model."""


def rehearse(run: RunKey, config: TrainerConfig, steps: int | None = None) -> RunEstimate:
    """Train a handful of steps, evaluate one episode, save once; nothing is left on disk.

    Rollouts, warm-up and replay buffer are shortened; what they really take is added by arithmetic.

    Args:
        run: the run that the estimate is for.
        config: the run's own configuration.
        steps: timesteps to train; None takes just enough for an update.
    """

    if is_language(config.algorithm):
        return rehearse_language(run, config, steps)

    def evaluate_and_save(backend: Backend, _: Description) -> int:
        backend.evaluate(stream_seeds(config.seed, SeedStream.EVALUATION, 1), deterministic=True)
        return _saved_bytes(backend)

    with _one_environment(config) as environment:
        short = shortened(config, REHEARSED, steps)
        return _estimate(
            run, config, short, environment, LapTimer(_updates_begin(short)), evaluate_and_save
        )


def probe(run: RunKey, config: TrainerConfig) -> RunEstimate:
    """As `rehearse`, in a fraction of a second and with no file: how fast, how much memory.

    It has an update of the real minibatch, unless the environment is too slow to fill one soon.
    """

    if is_language(config.algorithm):
        return rehearse_language(run, config)

    def expect_size(_: Backend, description: Description) -> int:
        return description.parameters * PARAMETER_BYTES

    with _one_environment(config) as environment:
        short = shortened(config, _probed(config, _seconds_per_step(environment)))
        timer = LapTimer(_updates_begin(short), ENOUGH_SECONDS, LONGEST_SECONDS)
        return _estimate(run, config, short, environment, timer, expect_size)


def _estimate(
    run: RunKey,
    config: TrainerConfig,
    short: TrainerConfig,
    environment: Environment,
    timer: LapTimer,
    finish: Finish,
) -> RunEstimate:
    warm_up()
    with warnings.catch_warnings(), closing(create_backend("sb3", short)) as backend:
        warnings.simplefilter("ignore")  # about the shortened settings, which nobody chose
        description = backend.build()
        timer.lap(0)
        trained = backend.train(timer).step
        timer.lap(trained)
        saved = finish(backend, description)
        planned = planned_timesteps(config)
        seconds = _training_seconds(config, planned, timer)
        resident = process_memory.peak_memory()
        shared = process_memory.shared_memory()
        rows = rows_kept(config, planned) - rows_kept(short, trained)
        row_bytes = backend.experience_bytes() / max(rows_kept(short), 1)
        missing = rows * row_bytes
        environments = _weight_of_others(config, environment)
        return RunEstimate(
            run=run,
            steps_per_second=planned / seconds,
            training_seconds=seconds,
            memory_mb=(resident + missing + environments + LATER_BYTES) / MIB,
            disk_mb=(
                saved
                + _journal_bytes(config, planned)
                + _checkpoint_bytes(config, saved, row_bytes)
            )
            / MIB,
            planned_timesteps=planned,
            parameters=description.parameters,
            shared_mb=shared / MIB,
            gpu_memory_mb=process_memory.gpu_memory_mb(description.device),
        )


def _training_seconds(config: TrainerConfig, planned: int, timer: LapTimer) -> float:
    without_updates = min(_updates_begin(config), planned)
    collecting = timer.seconds_per_step(updating=False) if without_updates else 0.0
    updating = timer.seconds_per_step(updating=True)
    return collecting * without_updates + updating * (planned - without_updates)


def _updates_begin(config: TrainerConfig) -> int:
    return int(settings_of(config).get("learning_starts", 0))


def _probed(config: TrainerConfig, seconds_per_step: float) -> Brevity:
    """How little is enough for environments that need so long for a step."""
    environments = config.n_envs
    batch = settings_of(config).get("batch_size") or 1
    rollout = math.ceil(PROBED_ROLLOUT / batch) * batch
    affordable = max(int(LAP_SECONDS / (seconds_per_step * environments)), 2)
    rows = min(math.ceil(rollout / environments), affordable)
    warm_up = min(PROBED_WARM_UP, affordable) * environments
    return Brevity(
        rollout_steps=rows * environments,
        trained_steps=rows * environments * PROBED_LAPS,
        warm_up_steps=warm_up,
        updated_steps=warm_up * PROBED_LAPS,
        collected_steps=min(PROBED_COLLECTION, affordable),
        directions=1,
    )


@contextmanager
def _one_environment(config: TrainerConfig) -> Iterator[Environment]:
    """One of the environments that an evaluation plays."""
    from .sb3.environments import evaluation_environment, register_environments

    process_memory.reset_peak_memory()
    register_environments(config)
    with closing(evaluation_environment(config)) as environment:
        yield environment


def _seconds_per_step(environment: Environment) -> float:
    """How long an environment takes for a step, by its first few."""
    environment.reset(seed=0)
    began = time.perf_counter()
    steps, seconds, is_over = 0, 0.0, False
    while steps < PACED_STEPS and seconds < PACED_SECONDS and not is_over:
        _, _, terminated, truncated, _ = environment.step(environment.action_space.sample())
        is_over = terminated or truncated
        steps, seconds = steps + 1, time.perf_counter() - began
    return seconds / steps


def _weight_of_others(config: TrainerConfig, environment: Environment) -> float:
    """Bytes of the environments that an evaluation plays beside this one, by those of a few."""
    from .sb3.environments import evaluation_environment

    protocol = config.evaluation
    others = parallel(environment, max(protocol.episodes, protocol.final_episodes)) - 1
    made = 0
    before, began = process_memory.resident_memory(), time.perf_counter()
    with ExitStack() as stack:
        while made < min(others, WEIGHED_ENVIRONMENTS):
            another = stack.enter_context(closing(evaluation_environment(config)))
            another.reset(seed=made)
            another.step(another.action_space.sample())
            made += 1
            if time.perf_counter() - began > WEIGHED_SECONDS:
                break
        weight = max(process_memory.resident_memory() - before, 0)
    return weight * others / max(made, 1)


def _saved_bytes(backend: Backend) -> int:
    """The size of what the backend saves."""
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as scratch:
        backend.save(AttemptPaths(Path(scratch)))
        return sum(file.stat().st_size for file in Path(scratch).rglob("*") if file.is_file())


def _checkpoint_bytes(config: TrainerConfig, saved: int, row_bytes: float) -> float:
    """The checkpoints that are kept, and the rows of a replay buffer to which they refer."""
    planned = planned_timesteps(config)
    count = min(planned // config.checkpoint.frequency, config.checkpoint.keep)
    if not count or family_of(config) is not Family.OFF_POLICY:
        return count * saved
    beside = min(config.checkpoint.frequency * count, planned)  # rows that older ones refer to
    return count * saved + (rows_kept(config, planned) + beside) * row_bytes


def _journal_bytes(config: TrainerConfig, planned: int) -> int:
    protocol = config.evaluation
    rows = planned // row_interval(planned) + 1
    evaluated = planned // protocol.frequency * protocol.episodes + protocol.final_episodes
    return rows * ROW_BYTES + evaluated * EPISODE_BYTES
