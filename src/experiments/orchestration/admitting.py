"""Before the first run: what one scores that fails, what one takes, and how many fit at once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from ..domain.records import RunEstimate
from ..execution import Executor, ExecutorKind
from ..execution.admission import Admission, admit
from ..experiment import Experiment
from ..monitoring import Limits
from ..training import floor_run, probe_run
from .estimates import estimate_arms, measure_floors
from .placing import room_for

logger = logging.getLogger(__name__)


def get_floors(experiment: Experiment, executor: Executor, interrupted: Callable[[], bool]) -> None:
    """Have the random policy play where its returns are not known yet, and save them."""
    if experiment.design.floors or not experiment.runs_to_train():
        return
    floors, why_unknown = measure_floors(experiment, executor, floor_run, interrupted)
    if why_unknown is not None:
        logger.warning(
            "the random policy's return is not known, so a run that fails would leave the "
            "comparison incomplete: %s",
            why_unknown,
        )
    experiment.take_floors(floors)
    experiment.save()


class Admitting:
    """Fits an executor's slots to the machine.

    Args:
        experiment: its runs are to be carried out.
        executor: probes them, and is resized.
        kind: what the executor is like.
        limits: what the runs may use.
    """

    def __init__(
        self, experiment: Experiment, executor: Executor, kind: ExecutorKind, limits: Limits
    ) -> None:
        self._experiment = experiment
        self._executor = executor
        self._kind = kind
        self._limits = limits

    def estimates(self, wanted: int, interrupted: Callable[[], bool]) -> tuple[RunEstimate, ...]:
        """What a run of each arm takes; nothing where `wanted` runs need no reckoning."""
        if not self._is_needed(wanted):
            return ()
        with TemporaryDirectory() as folder:
            scratch = Path(folder) if self._kind.is_here else None  # other machines have it not
            found = estimate_arms(self._experiment, self._executor, probe_run, interrupted, scratch)
        known = {estimate.run.arm for estimate in found}
        for arm in self._experiment.config.arms:
            if arm not in known and not interrupted():
                logger.warning(
                    "no estimate of what %s needs: its probe failed or took too long", arm
                )
        return found

    def admit(self, wanted: int, estimates: tuple[RunEstimate, ...]) -> Admission | None:
        """Give the executor as many slots as fit, `wanted` at most; None where one is enough."""
        if not self._is_needed(wanted):
            return None
        room = room_for(self._experiment, self._limits, self._kind)
        threads = self._experiment.config.torch_threads
        admission = admit(estimates, wanted, room, threads)
        self._executor.resize(admission.slots)
        logger.info("%s", admission.line)
        return admission

    def _is_needed(self, wanted: int) -> bool:
        return wanted > 1 and self._kind.has_processes
