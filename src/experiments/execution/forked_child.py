"""A child of the fork server: it leaves the server behind, calls its target, leaves a report."""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import pickle  # between this program's own processes only
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from ..domain.errors import error_record, exit_code_of
from .fork_messages import Start

_PR_SET_PDEATHSIG = 1
_PARENT_SECONDS = 0.5
"""How often it is looked whether the parent lives, where the kernel does not tell."""


def become_child(request: Start, server: int, write_end: int) -> NoReturn:
    """The child's whole life: call the target, leave a report, exit."""
    code = 1
    try:
        report = _work(request, server, write_end)
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(report)
        code = 0
    except SystemExit as leaving:
        code = exit_code_of(leaving)
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _work(request: Start, server: int, write_end: int) -> bytes:
    """Carry the request out; the pickled report says how that went."""
    try:
        _leave_the_server(server, keep=write_end)
        os.environ.update(request.environment)
        if request.log is not None:
            _redirect_output(request.log)
        value = pickle.loads(request.target)()  # noqa: S301 - sent by who started us
        return pickle.dumps((True, value))
    except Exception as error:  # noqa: BLE001 - whatever a job raises is its outcome
        record = error_record(error)
        if request.log is not None:  # else standard error is what a person looks at
            sys.stderr.write(record.traceback)
        return pickle.dumps((False, record))


def _leave_the_server(server: int, keep: int) -> None:
    os.setsid()
    _die_with_parent(server)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    descriptors = [int(entry.name) for entry in Path("/dev/fd").iterdir()]
    for descriptor in descriptors:
        if descriptor > 2 and descriptor != keep:
            with suppress(OSError):
                os.close(descriptor)


def _die_with_parent(parent: int) -> None:
    """End by SIGKILL when `parent` dies: by the kernel, and where it does not, by a look at it."""
    prctl = _prctl()
    if prctl is None:
        threading.Thread(target=_die_after, args=(parent,), daemon=True).start()
    else:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the request took effect
        os._exit(1)


def _prctl() -> Callable[[int, int], int] | None:
    """The system's call by that name; None where there is none (Linux alone has it)."""
    if sys.platform != "linux":
        return None
    found: Callable[[int, int], int] = ctypes.CDLL(None, use_errno=True).prctl
    return found


def _die_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def _redirect_output(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    faulthandler.enable()
    faulthandler.register(signal.SIGQUIT, all_threads=True)  # tells where a run hangs
