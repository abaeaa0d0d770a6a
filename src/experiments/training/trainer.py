"""One run, from its configuration to its result."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from ..domain.paths import AttemptPaths, RunPaths
from ..domain.records import TrainerConfig, TrainingResult
from ..domain.scores import area_under_curve, final_return
from ..durability.files import write_json
from ..durability.journal import JournalWriter
from .backend import Backend, Description, Trained, create_backend
from .evaluation import Episode
from .heartbeat import Heartbeat
from .recording import Journal, RunRecorder, SilentJournal


class Trainer:
    """Trains one run in this process; with a run directory it also writes journal and model."""

    def __init__(self, config: TrainerConfig, *, backend: str = "sb3") -> None:
        self.config = config
        self._backend_name = backend

    def train(self) -> TrainingResult:
        """Build, train, evaluate and save the run.

        Raises:
            TrainingError: when the run failed, as `NonFiniteError` with the step of a NaN;
                an environment's or the library's own exception passes through.
        """
        attempt = self._attempt
        with (
            Heartbeat(attempt.heartbeat if attempt else None) as heartbeat,
            _journal(self.config) as journal,
            closing(create_backend(self._backend_name, self.config)) as backend,
        ):
            heartbeat.follow(backend.activity)
            return self._train(backend, journal)

    def _train(self, backend: Backend, journal: Journal) -> TrainingResult:
        description = backend.build()
        recorder = RunRecorder(self.config, backend, description.planned_timesteps, journal)
        recorder.start(description)
        trained = backend.train(recorder)
        training_time = recorder.training_time
        episodes = recorder.finish(trained)
        self._save(backend, trained, episodes)
        sha256 = backend.parameters_sha256()
        recorder.close(trained, sha256, training_time)
        return self._result(description, recorder, trained, sha256, training_time)

    def _save(self, backend: Backend, trained: Trained, episodes: Sequence[Episode]) -> None:
        paths = self._attempt
        if paths is None:
            return
        backend.save(paths)
        write_json(paths.predictions, self._predictions(trained.step, episodes))

    def _predictions(self, step: int, episodes: Sequence[Episode]) -> dict[str, Any]:
        """The final evaluation, episode by episode."""
        return {
            "step": step,
            "seed": self.config.seed,
            "environment": self.config.environment,
            "deterministic": self.config.evaluation.deterministic,
            "episodes": [_prediction(number, episode) for number, episode in enumerate(episodes)],
        }

    def _result(
        self,
        description: Description,
        recorder: RunRecorder,
        trained: Trained,
        sha256: str,
        training_time: float,
    ) -> TrainingResult:
        config, points, paths = self.config, recorder.points, self._attempt
        return TrainingResult(
            success=True,
            total_timesteps=trained.step,
            training_time=training_time,
            final_mean_reward=points[-1].return_mean,
            final_std_reward=points[-1].return_std,
            experiment_name=config.experiment_name,
            algorithm=config.algorithm,
            environment_name=config.environment,
            seed=config.seed,
            final_return=final_return(points, description.planned_timesteps),
            auc=area_under_curve(points),
            evaluation_time=recorder.evaluation_time,
            attempts=config.attempt,
            parameters_sha256=sha256,
            evaluations=tuple(points),
            model_path=None if paths is None else str(paths.model),
        )

    @property
    def _attempt(self) -> AttemptPaths | None:
        config = self.config
        return None if config.run_dir is None else RunPaths(config.run_dir).attempt(config.attempt)


@contextmanager
def _journal(config: TrainerConfig) -> Iterator[Journal]:
    if config.run_dir is None:
        yield SilentJournal()
        return
    with JournalWriter(RunPaths(config.run_dir).journal, time.time) as writer:
        yield writer


def _prediction(number: int, episode: Episode) -> dict[str, Any]:
    record = {
        "episode": number,
        "seed": episode.seed,
        "return": episode.reward_sum,
        "length": episode.length,
    }
    return record if episode.actions is None else {**record, "actions": episode.actions}
