"""Where runs are carried out: the executor protocol, its implementations, the recovery policy."""

from .attempts import RunAttempts
from .faults import Fault, fault_of
from .in_process import InProcessExecutor
from .job import Event, Executor, Job, JobStarted, Needs, Outcome, OutcomeKind, Sampled
from .process_pool import ProcessPoolExecutor
from .recovery import FailedRun, Recovery, RecoveryStrategy, parse_strategy
from .registry import ExecutorKind, ExecutorSettings, create_executor, executor_kind

__all__ = [
    "Event",
    "Executor",
    "ExecutorKind",
    "ExecutorSettings",
    "FailedRun",
    "Fault",
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
    "create_executor",
    "executor_kind",
    "fault_of",
    "parse_strategy",
]
