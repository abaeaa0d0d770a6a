"""A run that learns nothing: `Trainer` leaves the files of a real one within milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from src.experiments.domain import metric_names as names
from src.experiments.domain.paths import AttemptPaths
from src.experiments.domain.records import TrainerConfig, TrainingResult
from src.experiments.durability.files import write_atomically
from src.experiments.durability.segments import SegmentWriter
from src.experiments.training import backend, job
from src.experiments.training.backend import Description, Observer, Resumption, Trained
from src.experiments.training.evaluation import Episode
from src.experiments.training.trainer import Trainer

ROWS = 20
METRICS = (
    *names.RETURNS.values(),
    *names.ROLLOUT_KL.values(),
    *names.ADVANTAGES.values(),
    names.STEP_LOSS,
    names.STEP_GRAD_NORM,
    names.STEP_LEARNING_RATE,
    *names.EPOCH_LOSS.values(),
)


class StandIn:
    """A backend without a library: it reaches its boundaries at once."""

    def __init__(self, config: TrainerConfig) -> None:
        self._steps = config.total_timesteps

    def build(self) -> Description:
        return Description("none", "cpu", 1, parameters=0, planned_timesteps=self._steps)

    why_inexact = None

    def capture(self, writer: SegmentWriter) -> dict[str, Any]:
        del writer
        return {}

    def diagnostics(self) -> dict[str, Any]:
        return {}

    def train(
        self,
        observer: Observer,
        *,
        resumption: Resumption | None = None,
        tells_state: bool = False,
    ) -> Trained:
        del resumption, tells_state  # it learns nothing that could go on
        for row in range(1, ROWS):
            observer.observe(self._steps * row // ROWS, self._metrics)
        final = {names.FINAL_STEPS: float(self._steps)}
        return Trained(self._steps, metrics=final, last=self._metrics())

    def evaluate(self, seeds: Sequence[int], *, deterministic: bool) -> list[Episode]:
        del deterministic
        return [Episode(seed, reward_sum=100.0 + seed % 7, length=100) for seed in seeds]

    def save(self, paths: AttemptPaths) -> None:
        write_atomically(paths.model, b"a policy of 1 KiB".ljust(1024))

    def activity(self) -> int:
        return 0

    def experience_bytes(self) -> int:
        return 0

    def parameters_sha256(self) -> str:
        return "0" * 64

    def close(self) -> None:
        pass

    def _metrics(self) -> dict[str, float]:
        return dict.fromkeys(METRICS, 0.123456789)


def train(config: TrainerConfig) -> TrainingResult:
    """Takes the place of `train_run`, which it calls with the stand-in for a library."""
    backend.BACKENDS = {"stand_in": f"{__name__}:StandIn"}
    job.Trainer = partial(Trainer, backend="stand_in")
    return job.train_run(config)
