"""Where runs are carried out: the executor protocol, its implementations, the recovery policy."""

from .attempts import RunAttempts
from .in_process import InProcessExecutor
from .job import Event, Executor, Job, JobStarted, Needs, Outcome, OutcomeKind, Sampled
from .process_pool import ProcessPoolExecutor
from .recovery import FailedRun, Recovery, RecoveryStrategy, parse_strategy
from .registry import ExecutorSettings, check_executor, create_executor

__all__ = [
    "Event",
    "Executor",
    "ExecutorSettings",
    "FailedRun",
    "InProcessExecutor",
    "Job",
    "JobStarted",
    "Needs",
    "Outcome",
    "OutcomeKind",
    "ProcessPoolExecutor",
    "Recovery",
    "RecoveryStrategy",
    "RunAttempts",
    "Sampled",
    "check_executor",
    "create_executor",
    "parse_strategy",
]
