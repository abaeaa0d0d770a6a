"""The library's `learn`, watched at its boundaries: between rollouts and after updates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from sb3_contrib import ARS
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.monitor import Monitor

from ...domain.errors import NonFiniteError
from ..backend import Observer, StopTraining, Trained
from ..heartbeat import Tally
from .acceleration import accelerated
from .finiteness import FinitenessCheck
from .patching import wrapped
from .recorder import MetricsRecorder
from .updates import UpdateWatcher

Function = Callable[..., Any]


class WatchedTraining:
    """One call of `learn` with an observer; the model is left as the library knows it."""

    def __init__(
        self,
        model: BaseAlgorithm,
        monitors: Sequence[Monitor[Any, Any]],
        observer: Observer,
        tally: Tally,
    ) -> None:
        self._model = model
        self._observer = observer
        self._finiteness = FinitenessCheck(model)
        self._updates = UpdateWatcher(model, tally)
        self._recorder = MetricsRecorder(model, monitors, self._updates)
        self._check_step = self._finiteness.rows_kept

    def run(self, total_timesteps: int, *, accelerate: bool) -> Trained:
        """Train to the end, or until the observer says stop.

        Raises:
            NonFiniteError: also where the library stumbled over a NaN in its own way.
        """
        with ExitStack() as stack:
            stack.enter_context(accelerated(self._model, enabled=accelerate))
            stack.enter_context(self._updates.watching())
            for name, wrap in self._wrappers().items():
                stack.enter_context(wrapped(self._model, name, wrap))
            self._learn(total_timesteps)
        self._finiteness.experience()
        self._finiteness.parameters()
        step = self._model.num_timesteps
        return Trained(step=step, last=self._recorder.collect(), metrics=self._recorder.final())

    def _learn(self, total_timesteps: int) -> None:
        try:
            self._model.learn(total_timesteps, log_interval=None)  # type: ignore[arg-type]
        except (StopTraining, NonFiniteError) as end:
            if isinstance(end, NonFiniteError):
                raise
        except Exception as error:
            cause = self._finiteness.cause() or self._finiteness.in_parameters()
            if cause is not None:
                raise cause from error
            raise

    def _wrappers(self) -> dict[str, Callable[[Function], Function]]:
        if isinstance(self._model, ARS):
            return {
                "evaluate_candidates": self._around_rollout,
                "_do_one_update": self._around_update,
            }
        return {"collect_rollouts": self._around_rollout, "train": self._around_update}

    def _around_rollout(self, collect: Function) -> Function:
        def collect_watched(*args: Any, **kwargs: Any) -> Any:
            step = self._model.num_timesteps
            if step >= self._observer.next_step or step >= self._check_step:
                self._at_boundary(step)
            result = collect(*args, **kwargs)
            self._recorder.rollouts += 1
            self._finiteness.rollout()
            return result

        return collect_watched

    def _around_update(self, update: Function) -> Function:
        def update_watched(*args: Any, **kwargs: Any) -> Any:
            self._updates.before_update(self._recorder.batches)
            result = update(*args, **kwargs)
            self._updates.after_update()
            loss = self._recorder.note_update()
            if loss is not None and not math.isfinite(loss):
                step = self._model.num_timesteps
                raise self._finiteness.cause() or NonFiniteError("loss", step)
            return result

        return update_watched

    def _at_boundary(self, step: int) -> None:
        self._finiteness.experience()
        self._check_step = step + self._finiteness.rows_kept
        if step >= self._observer.next_step:
            self._finiteness.parameters()
            self._observer.observe(step, self._recorder.collect)
