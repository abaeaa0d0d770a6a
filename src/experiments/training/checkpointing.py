"""When a run saves a checkpoint, when it stops, and how training goes on from one."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ..domain.records import AttemptStart
from .backend import Backend, Metrics, Resumption, StopTraining
from .recording import RunRecorder, next_multiple
from .run_checkpoints import RunCheckpoints, SavedRun
from .run_log import RunLog


class Checkpointing:
    """An observer that lets a recorder record, saves checkpoints, and stops when asked to.

    Args:
        backend: what is trained; tells its state.
        recorder: whom it lets record; what it has recorded is part of a checkpoint.
        log: the run's journal, whose length is part of a checkpoint.
        checkpoints: where they are saved; None saves none.
        asked_to_stop: looked at before each rollout.
    """

    def __init__(
        self,
        backend: Backend,
        recorder: RunRecorder,
        log: RunLog,
        checkpoints: RunCheckpoints | None,
        asked_to_stop: Callable[[], bool],
    ) -> None:
        self._backend = backend
        self._recorder = recorder
        self._log = log
        self._checkpoints = checkpoints
        self._asked_to_stop = asked_to_stop
        self._deviations = log.deviations
        self._next_save = sys.maxsize if checkpoints is None else checkpoints.frequency

    @property
    def next_step(self) -> int:
        """The step at which there is something to do."""
        if self._asked_to_stop():
            return 0
        return min(self._recorder.next_step, self._next_save)

    def observe(self, step: int, collect: Callable[[], Metrics]) -> None:
        """Record what is due, then save, so that a checkpoint holds what was recorded.

        Raises:
            StopTraining: when it was asked to stop.
        """
        if step >= self._recorder.next_step:
            self._recorder.observe(step, collect)
        stops = self._asked_to_stop()
        if self._checkpoints is not None and (stops or step >= self._next_save):
            self._save(step, self._checkpoints)
        if stops:
            raise StopTraining

    def resumption(self, saved: SavedRun | None) -> Resumption | None:
        """How training goes on from a checkpoint; None where there is none to go on from."""
        if saved is None or self._checkpoints is None:
            return None

        passed_over = self._checkpoints.passed_over
        self._deviations = tuple(dict.fromkeys((*saved.deviations, *self._deviations)))

        def go_on(why_inexact: str | None) -> None:
            reason = saved.other_versions if why_inexact is None else why_inexact
            start = AttemptStart(saved.step, reason, self._deviations, passed_over)
            journal = self._log.go_on(start, saved.journal_bytes)
            self._recorder.go_on(saved.recorder, journal)
            self._set_next_save(saved.step)

        return Resumption(saved.training, self._checkpoints.directory, go_on)

    def _save(self, step: int, checkpoints: RunCheckpoints) -> None:
        training = self._backend.capture(checkpoints.writer)
        self._log.warn_of_inexact_checkpoints(self._backend.why_inexact)
        checkpoints.save(
            step,
            training=training,
            recorder=self._recorder.capture(),
            journal_bytes=self._log.synced_bytes(),
            deviations=self._deviations,
        )
        self._set_next_save(step)

    def _set_next_save(self, step: int) -> None:
        if self._checkpoints is not None:
            self._next_save = next_multiple(step, self._checkpoints.frequency)
