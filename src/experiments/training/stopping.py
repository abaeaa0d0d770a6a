"""A run that is asked to stop: a flag that a signal sets, and that training looks at."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """Whether somebody wants the run to stop at its next boundary."""

    is_made: bool = False


@contextmanager
def stopped_by(number: signal.Signals) -> Iterator[StopRequest]:
    """Let a signal ask for a stop inside the block, where it would end the process otherwise.

    A process that handles the signal in a way of its own goes on doing so.
    """
    request = StopRequest()
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(number) is not signal.SIG_DFL:
        yield request
        return

    def ask(_: int, __: FrameType | None) -> None:
        request.is_made = True

    signal.signal(number, ask)
    try:
        yield request
    finally:
        signal.signal(number, signal.SIG_DFL)
