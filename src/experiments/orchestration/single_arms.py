"""Single arms, trained in this process, as scripts of one's own ask for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ..config import check_configuration, trainer_config
from ..domain.errors import as_failure
from ..domain.records import TrainerConfig, TrainingResult
from ..execution import FailedRun, Recovery
from ..experiment import Experiment


class SingleArms:
    """Trains one arm at a time; a failure goes to recovery, which may ask for another attempt.

    Args:
        experiment: whose arms they are.
        recovery: counts the failures and knows what they changed.
        recover: decides about a failed arm, as in a campaign.
        train: trains in this process.
    """

    def __init__(
        self,
        experiment: Experiment,
        recovery: Recovery,
        recover: Callable[[FailedRun], bool],
        train: Callable[[TrainerConfig], TrainingResult],
    ) -> None:
        self._experiment = experiment
        self._recovery = recovery
        self._recover = recover
        self._train = train
        self.results: dict[str, TrainingResult] = {}
        """By arm; of those that succeeded."""

    def carry_out(
        self, arm: str, config: Any, trainer_config: TrainerConfig | None
    ) -> TrainingResult | None:
        """Train one arm; None when it failed.

        Raises:
            ValueError: for an unknown arm.
        """
        self._experiment.check_arm(arm)
        try:
            result = self._attempt(arm, config, trainer_config)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it goes to recovery
            self._on_failed(
                arm, as_failure(error), partial(self._again, arm, config, trainer_config)
            )
            return None
        self.results[arm] = result
        return result

    def _attempt(self, arm: str, config: Any, given: TrainerConfig | None) -> TrainingResult:
        wanted, _ = self._recovery.adjusted(arm, given or self._configured(config))
        return self._train(wanted)

    def _configured(self, config: Any) -> TrainerConfig:
        whole = self._experiment.config
        checked = check_configuration(config, environment_modules=whole.environment_modules)
        return trainer_config(checked, seed=checked.seed, experiment=whole)

    def _on_failed(self, arm: str, error: Exception, again: Callable[[float], bool]) -> None:
        failed = self._recovery.failed
        failures = failed.failures + 1 if failed else 1
        self._recover(FailedRun(arm, arm, error, failures, again))

    def _again(
        self, arm: str, config: Any, trainer_config: TrainerConfig | None, after_seconds: float
    ) -> bool:
        time.sleep(after_seconds)
        return self.carry_out(arm, config, trainer_config) is not None
