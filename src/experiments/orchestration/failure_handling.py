"""What a runner does about a run that failed: the methods that subclasses override, and call."""

from __future__ import annotations

import logging

from ..domain.errors import described
from ..execution import FailedRun, Recovery, RecoveryStrategy, parse_strategy
from ..execution.adjustments import less_memory, longer_timeout, smaller_batch
from ..experiment import Experiment


class FailureHandling:
    """Decides about failed runs, within the experiment's bound on retries."""

    experiment: Experiment
    logger: logging.Logger
    _recovery: Recovery

    def handle_failure(
        self,
        error: Exception,
        config_type: str | None = None,
        recovery_strategy: str = "abort",
    ) -> bool:
        """Decide what becomes of a failed run: True when the experiment may go on.

        Subclasses override it; `recovery_strategy` is passed only where the experiment file or a
        flag names one, so that an override's own default holds.

        Raises:
            UsageError: for an unknown strategy.
        """
        recovery = self._recovery
        name = recovery.failed.name if recovery.failed else config_type
        strategy = parse_strategy(recovery_strategy)
        if strategy is RecoveryStrategy.RETRY and recovery.why_none_is_left:
            self.logger.warning("%s is not retried: %s", name, recovery.why_none_is_left)
        match recovery.decide(strategy):
            case RecoveryStrategy.RETRY:
                self.logger.warning(
                    "%s: %s failed, retrying: %s", name, recovery.chances, described(error)
                )
                return recovery.retry()
            case RecoveryStrategy.SKIP:
                self.logger.warning("%s failed, continuing without it: %s", name, described(error))
                return True
            case RecoveryStrategy.ABORT:
                self.logger.error("%s failed, stopping: %s", name, described(error))
                return False

    def _recover(self, failed: FailedRun) -> bool:
        """Ask `handle_failure`, with a strategy only where the file or a flag names one."""
        strategy = self.experiment.config.recovery.strategy
        named = (strategy,) if self.experiment.names_recovery else ()
        with self._recovery.deciding(failed):
            return self.handle_failure(failed.error, failed.arm, *named)

    def _retry_with_smaller_batch(self, config_type: str | None) -> bool:
        """Try again with half the minibatch; the arm is marked as deviating."""
        return self._recovery.retry(config_type, smaller_batch)

    def _reduce_memory_usage(self, config_type: str | None) -> bool:
        """Try again with half the replay buffer or minibatch; the arm is marked as deviating."""
        return self._recovery.retry(config_type, less_memory)

    def _retry_with_longer_timeout(self, config_type: str | None) -> bool:
        """Try again with twice the `hang_seconds`; the arm is marked as deviating."""
        return self._recovery.retry(config_type, longer_timeout)

    def _extend_timeout(self, config_type: str | None) -> bool:
        """As `_retry_with_longer_timeout`."""
        return self._retry_with_longer_timeout(config_type)
