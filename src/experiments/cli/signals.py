"""Stopping on a signal: the first asks, the second stops at once, the shell sees which it was."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SHOW_CURSOR = b"\x1b[?25h"


class Stopped(BaseException):
    """A signal has stopped the command in good order; the process ends by the same signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def stopping(request: Callable[[int], None]) -> Iterator[None]:
    """Call `request` with the first stop signal; the second ends the process at once.

    `request` runs inside the signal handler: it may set a flag, and must take no lock.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    asked = False

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal asked
        if asked:
            die_by(number)
        asked = True
        request(number)

    # what the caller ignores stays ignored: that is how nohup works
    heeded = [each for each in STOP_SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def die_by(number: int) -> NoReturn:
    """End this process by a signal's default action, so that the shell sees 128 + its number."""
    with suppress(OSError, ValueError, AttributeError):  # standard output may be gone
        terminal = sys.__stdout__.fileno()  # type: ignore[union-attr]
        if os.isatty(terminal):
            os.write(terminal, _SHOW_CURSOR)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # where the signal is blocked
