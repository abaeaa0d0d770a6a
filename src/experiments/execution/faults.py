"""Whose fault a failure is: the machine's, which may do better next time, or the run's own."""

from __future__ import annotations

import errno
import signal
from enum import StrEnum

from ..domain.errors import StorageError, UnusableCheckpointsError
from .job import OutcomeKind


class Fault(StrEnum):
    """Who is to blame."""

    MACHINE = "machine"
    """Memory, disk, a lost machine, a signal from outside: the run itself may be sound."""
    RUN = "run"
    """An exception in the environment or the agent, a NaN, a crash, a hang."""


_OF_MACHINE = (OutcomeKind.OUT_OF_MEMORY, OutcomeKind.LIMIT, OutcomeKind.LOST)
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGXCPU)
_OF_STORAGE = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, errno.ESTALE, errno.ENOMEM)


def fault_of(kind: OutcomeKind, error: Exception, signal_number: int | None = None) -> Fault:
    """Who is to blame for an attempt that ended in this way."""
    if isinstance(error, UnusableCheckpointsError):
        return Fault.RUN  # the next attempt would find the same ones
    if kind in _OF_MACHINE or isinstance(error, StorageError | MemoryError):
        return Fault.MACHINE
    if kind is OutcomeKind.SIGNAL and signal_number in _FROM_OUTSIDE:
        return Fault.MACHINE
    is_storage = isinstance(error, OSError) and error.errno in _OF_STORAGE
    return Fault.MACHINE if is_storage else Fault.RUN
