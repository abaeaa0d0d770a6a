"""The library's `learn`, watched at its boundaries: between rollouts and after updates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sb3_contrib import ARS
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from ...domain.errors import LOSS, NonFiniteError, described
from ...durability.segments import SegmentWriter
from ..backend import NotRestoredError, Observer, Resumption, StopTraining, Trained
from ..heartbeat import Tally, working
from .acceleration import accelerated
from .finiteness import FinitenessCheck
from .patching import wrapped
from .recorder import MetricsRecorder
from .state.experience import KeptExperience
from .state.generators import capture_process_generators, restore_process_generators
from .state.model import begin_environments_anew, capture_model, restore_model
from .state.vector import KeptVector
from .updates import UpdateWatcher

Function = Callable[..., Any]

RESTORE_SECONDS, TRIAL_SECONDS = 3600.0, 300.0
"""How long environments may take to come to where they were, and a trial; not taken for a hang."""


class WatchedTraining:
    """One call of `learn` with an observer; the model is left as the library knows it.

    The library sets everything up and resets the environments as it always does. Where training
    goes on from a state, that is put over all of it just before the first rollout begins, which is
    also the moment in a later round at which a state is told.
    """

    def __init__(
        self, model: BaseAlgorithm, vector: VecEnv, observer: Observer, tally: Tally
    ) -> None:
        self._model = model
        self._observer = observer
        self._finiteness = FinitenessCheck(model)
        self._updates = UpdateWatcher(model, tally)
        self._recorder = MetricsRecorder(model, vector, self._updates)
        self._check_step = self._finiteness.rows_kept
        self._vector = KeptVector(vector)
        self._experience = KeptExperience(model)
        self._tally = tally
        self._resumption: Resumption | None = None
        self._tells_state = False
        self._has_begun = False

    def run(
        self,
        total_timesteps: int,
        *,
        accelerate: bool | tuple[str, ...],
        resumption: Resumption | None = None,
        tells_state: bool = False,
    ) -> Trained:
        """Train to the end, or until the observer says stop.

        Raises:
            NonFiniteError: also where the library stumbled over a NaN in its own way.
            NotRestoredError: when the state to go on from cannot be taken over.
        """
        self._resumption, self._tells_state = resumption, tells_state
        with ExitStack() as stack:
            stack.enter_context(accelerated(self._model, accelerate))
            stack.enter_context(self._updates.watching())
            for name, wrap in self._wrappers().items():
                stack.enter_context(wrapped(self._model, name, wrap))
            is_complete = self._learn(total_timesteps)
        self._finiteness.experience()
        self._finiteness.parameters()
        return Trained(
            step=self._model.num_timesteps,
            last=self._recorder.collect(),
            metrics=self._recorder.final(),
            is_complete=is_complete,
        )

    # ---- the state of it all

    def capture(self, writer: SegmentWriter) -> dict[str, Any]:
        """Everything that training needs to go on from here; called between two rollouts.

        Raises:
            OpaqueError: when a part of the model cannot be told as plain data.
            StorageError: when the disk refuses.
        """
        with working(self._tally, TRIAL_SECONDS):
            self._vector.end_trial()
        state = {
            "step": self._model.num_timesteps,
            "device": str(self._model.device),
            "model": capture_model(self._model),
            "vector": self._vector.capture(),
            "experience": self._experience.capture(writer),
            "generators": capture_process_generators(),
            "recorder": self._recorder.capture(),
            "updates": self._updates.capture(),
            "checked_rows": self._finiteness.checked_rows,
            "check_step": self._check_step,
        }
        self._vector.begin_trial()
        return state

    @property
    def why_inexact(self) -> str | None:
        """Why a state that is told now would not be exact; None where it is."""
        exactness = self._vector.exactness
        return None if exactness.is_exact else exactness.how

    def _restore(self, state: Mapping[str, Any], directory: Path) -> str | None:
        """Take a state over; why that was not exact, None where it was."""
        exactness = self._vector.restore(state["vector"])
        if not exactness.is_exact:
            begin_environments_anew(self._model, state["step"])
        restore_model(self._model, state["model"], with_last_seen=exactness.is_exact)
        self._experience.restore(state["experience"], directory)
        self._recorder.restore(state["recorder"])
        self._updates.restore(state["updates"])
        self._finiteness.checked_rows = state["checked_rows"]
        self._check_step = state["check_step"]
        restore_process_generators(state["generators"])
        if not exactness.is_exact:
            return exactness.how
        before, now = state["device"], str(self._model.device)
        return None if before == now else f"it was saved on {before} and continues on {now}"

    # ---- inside learn

    def _learn(self, total_timesteps: int) -> bool:
        """Whether training went to its end."""
        try:
            self._model.learn(total_timesteps, log_interval=None)  # type: ignore[arg-type]
        except StopTraining:
            return False
        except (NonFiniteError, NotRestoredError):
            raise
        except Exception as error:
            cause = self._finiteness.cause() or self._finiteness.in_parameters()
            if cause is not None:
                raise cause from error
            raise
        return True

    def _wrappers(self) -> dict[str, Callable[[Function], Function]]:
        if isinstance(self._model, ARS):  # an update draws its directions before it collects
            return {
                "evaluate_candidates": self._around_rollout,
                "_do_one_update": lambda update: self._from_boundary(self._around_update(update)),
            }
        return {
            "collect_rollouts": lambda collect: self._from_boundary(self._around_rollout(collect)),
            "train": self._around_update,
        }

    def _from_boundary(self, function: Function) -> Function:
        """Let a function begin at a boundary: a state can be told there, and taken over."""

        def after_boundary(*args: Any, **kwargs: Any) -> Any:
            if self._has_begun:
                step = self._model.num_timesteps
                if step >= self._observer.next_step or step >= self._check_step:
                    self._at_boundary(step)
            else:
                self._begin()
            return function(*args, **kwargs)

        return after_boundary

    def _begin(self) -> None:
        self._has_begun = True
        resumption, self._resumption = self._resumption, None
        if resumption is not None:
            try:
                with working(self._tally, RESTORE_SECONDS):
                    why_inexact = self._restore(resumption.state, resumption.directory)
            except (MemoryError, OSError):
                raise  # which says nothing of the checkpoint
            except Exception as error:
                raise NotRestoredError(described(error)) from error
            resumption.on_restored(why_inexact)
        if self._tells_state:
            self._vector.begin_trial()

    def _around_rollout(self, collect: Function) -> Function:
        def collect_watched(*args: Any, **kwargs: Any) -> Any:
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
                raise self._finiteness.cause() or NonFiniteError(LOSS, step)
            return result

        return update_watched

    def _at_boundary(self, step: int) -> None:
        self._finiteness.experience()
        self._check_step = step + self._finiteness.rows_kept
        if step >= self._observer.next_step:
            self._finiteness.parameters()
            self._observer.observe(step, self._recorder.collect)
