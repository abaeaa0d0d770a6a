"""One run, from its configuration to its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from typing import Any

from ..domain.errors import NonFiniteError, RunStoppedError
from ..domain.paths import AttemptPaths, RunPaths
from ..domain.records import TrainerConfig, TrainingResult
from ..domain.scores import area_under_curve, final_return
from ..durability.files import write_json
from .backend import Backend, Description, NotRestoredError, Trained, backend_of, create_backend
from .checkpointing import Checkpointing
from .evaluation import Episode
from .heartbeat import Heartbeat
from .recording import RunRecorder
from .run_checkpoints import RunCheckpoints, SavedRun
from .run_log import RunLog


class Trainer:
    """Trains one run in this process; with a run directory it also writes journal and model.

    Args:
        config: everything that training depends on.
        backend: the learning library; None takes the one that implements the algorithm.
        asked_to_stop: checked between rollouts; once it is true, the run saves what it needs to
            resume, and stops.
    """

    def __init__(
        self,
        config: TrainerConfig,
        *,
        backend: str | None = None,
        asked_to_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.config = config
        self._backend_name = backend or backend_of(config.algorithm)
        self._asked_to_stop = asked_to_stop
        self._checkpoints = RunCheckpoints(config) if config.checkpoints else None

    def train(self) -> TrainingResult:
        """Train, evaluate and save the run, starting from its newest usable checkpoint.

        Raises:
            TrainingError: when the run failed, as `NonFiniteError` with the step of a NaN;
                an environment's or the library's own exception passes through.
            RunStoppedError: when it was asked to stop before it was complete.
            StorageError: when the disk refuses, or there are checkpoints but none is usable.
        """
        attempt, checkpoints = self._attempt, self._checkpoints
        with Heartbeat(attempt.heartbeat if attempt else None) as heartbeat:
            if checkpoints is None or checkpoints.is_empty():
                return self._train_from(None, heartbeat)
            for saved in checkpoints.starting_points():
                try:
                    return self._train_from(saved, heartbeat)
                except NotRestoredError as error:
                    checkpoints.pass_over(saved, error)
            raise checkpoints.untrusted_error()

    def _train_from(self, saved: SavedRun | None, heartbeat: Heartbeat) -> TrainingResult:
        with ExitStack() as stack:
            backend = stack.enter_context(closing(create_backend(self._backend_name, self.config)))
            heartbeat.follow(backend.activity)
            description = backend.build()
            recorder = RunRecorder(self.config, backend, description)
            log = stack.enter_context(RunLog(self.config))
            if saved is None:
                recorder.start(description, log.begin())
            observer = Checkpointing(backend, recorder, log, self._checkpoints, self._asked_to_stop)
            try:
                trained = backend.train(
                    observer,
                    resumption=observer.resumption(saved),
                    tells_state=self._checkpoints is not None,
                )
            except NonFiniteError as error:
                recorder.note_failure(error)
                raise
            if not trained.is_complete:
                raise RunStoppedError(f"asked to stop at step {trained.step}")
            return self._finish(backend, description, recorder, trained)

    def _finish(
        self,
        backend: Backend,
        description: Description,
        recorder: RunRecorder,
        trained: Trained,
    ) -> TrainingResult:
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
            diagnostics_time=recorder.diagnostics_time,
            attempts=config.attempt,
            parameters_sha256=sha256,
            learned=sha256 != description.parameters_sha256,
            evaluations=tuple(points),
            model_path=None if paths is None else str(paths.model),
        )

    @property
    def _attempt(self) -> AttemptPaths | None:
        config = self.config
        return None if config.run_dir is None else RunPaths(config.run_dir).attempt(config.attempt)


def _prediction(number: int, episode: Episode) -> dict[str, Any]:
    record = {
        "episode": number,
        "seed": episode.seed,
        "return": episode.reward_sum,
        "length": episode.length,
    }
    more = {"actions": episode.actions, "text": episode.text}
    return record | {name: value for name, value in more.items() if value is not None}
