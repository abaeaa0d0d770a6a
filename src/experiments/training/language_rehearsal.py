"""A language model's run in miniature: a few batches of completions, and what the whole takes."""

from __future__ import annotations

import warnings
from contextlib import closing

from ..domain.records import RunEstimate, RunKey, TrainerConfig
from ..domain.units import MIB
from . import process_memory
from .backend import backend_of, create_backend
from .laps import LapTimer
from .recording import row_interval
from .shortening import Brevity, planned_timesteps, shortened

ENOUGH_SECONDS, LONGEST_SECONDS = 1.0, 30.0
"""A rehearsal of so long ends at the next boundary: once batches were timed, and in any case."""
NOTHING_ELSE = Brevity(
    rollout_steps=1,
    trained_steps=1,
    warm_up_steps=0,
    updated_steps=1,
    collected_steps=1,
    directions=1,
)
"""What is made shorter elsewhere; of a language model only the number of batches is."""
ROW_BYTES, EPISODE_BYTES = 2000, 60
PARAMETER_BYTES, CHECKPOINT_BYTES = 4, 12
"""Of a parameter in a saved model, and with two moments of the optimiser in a checkpoint."""


def rehearse_language(run: RunKey, config: TrainerConfig, steps: int | None = None) -> RunEstimate:
    """Train a few batches; nothing is evaluated, saved or left on disk but a model made here."""
    process_memory.reset_peak_memory()
    short = shortened(config, NOTHING_ELSE, steps)
    timer = LapTimer(0, ENOUGH_SECONDS, LONGEST_SECONDS)
    with (
        warnings.catch_warnings(),
        closing(create_backend(backend_of(config.algorithm), short)) as backend,
    ):
        warnings.simplefilter("ignore")
        description = backend.build()
        timer.lap(0)
        timer.lap(backend.train(timer).step)
        planned = planned_timesteps(config)
        memory = process_memory.tree_memory()  # of all that train the run
        seconds = timer.seconds_per_step(updating=True) * planned
        return RunEstimate(
            run=run,
            steps_per_second=planned / seconds,
            training_seconds=seconds,
            memory_mb=memory.peak / MIB,
            disk_mb=_disk_bytes(config, planned, description.parameters) / MIB,
            planned_timesteps=planned,
            parameters=description.parameters,
            shared_mb=memory.shared / MIB,
            gpu_memory_mb=process_memory.gpu_memory_mb(description.device),
        )


def _disk_bytes(config: TrainerConfig, planned: int, parameters: int) -> int:
    protocol = config.evaluation
    rows = planned // row_interval(planned, 1) + 1
    evaluations = 1 + planned // protocol.frequency
    evaluated = evaluations * protocol.episodes + protocol.final_episodes
    kept = min(planned // config.checkpoint.frequency, config.checkpoint.keep)
    return (
        parameters * (PARAMETER_BYTES + kept * CHECKPOINT_BYTES)
        + rows * ROW_BYTES
        + evaluated * EPISODE_BYTES
    )
