"""A question answered in a copy of this process, which whatever happens there cannot change."""

from __future__ import annotations

import os
import pickle  # between this process and its own copy only
import selectors
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, TypeVar

Answer = TypeVar("Answer")
POLL_SECONDS = 0.5


def in_a_copy(
    question: Callable[[], Answer], seconds: float, on_wait: Callable[[], None] = lambda: None
) -> Answer:
    """What a call returns in a forked copy of this process, which then ends.

    Args:
        question: the call; what it returns can be pickled.
        seconds: how long it may take.
        on_wait: called now and then meanwhile.

    Raises:
        TimeoutError: when there is no answer in so many seconds.
        RuntimeError: when the call raised there, or the copy died.
    """
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _answer(question, write_end, seconds)
    os.close(write_end)
    try:
        with os.fdopen(read_end, "rb") as pipe:
            data = _read(pipe, seconds, on_wait)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    if not data:
        raise RuntimeError("a copy of the process died of it")
    succeeded, told = pickle.loads(data)  # noqa: S301 - from our own copy
    if not succeeded:
        raise RuntimeError(told)
    answer: Answer = told
    return answer


def _answer(question: Callable[[], Any], write_end: int, seconds: float) -> None:
    """The copy's whole life."""
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(seconds) + 2)  # also when nobody waits any more
        try:
            report = pickle.dumps((True, question()))
        except Exception as error:  # noqa: BLE001 - anything may go wrong in what users wrote
            report = pickle.dumps((False, f"{type(error).__name__}: {error}"))
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(report)
    finally:
        os._exit(0)


def _read(pipe: IO[bytes], seconds: float, on_wait: Callable[[], None]) -> bytes:
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not selector.select(POLL_SECONDS):
            on_wait()
            if time.monotonic() > deadline:
                raise TimeoutError(f"a copy gave no answer in {seconds:g} s")
    return pipe.read()
