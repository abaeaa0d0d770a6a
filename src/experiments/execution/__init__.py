"""Where runs are carried out: the executor protocol, its implementations, the recovery policy."""

from .attempts import RunAttempts
from .in_process import InProcessExecutor
from .job import Executor, Job, JobStarted, Outcome, OutcomeKind
from .process_pool import ProcessPoolExecutor
from .recovery import FailedRun, Recovery, RecoveryStrategy, parse_strategy
from .registry import check_executor, create_executor

__all__ = [
    "Executor",
    "FailedRun",
    "InProcessExecutor",
    "Job",
    "JobStarted",
    "Outcome",
    "OutcomeKind",
    "ProcessPoolExecutor",
    "Recovery",
    "RecoveryStrategy",
    "RunAttempts",
    "check_executor",
    "create_executor",
    "parse_strategy",
]
