"""Faults at chosen system calls, put there by strace."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from .pair import wait_until

CALLS = {"rename": "rename,renameat,renameat2", "fsync": "fsync", "write": "write"}
"""What makes a file complete, by the name that is counted."""


def kill_at(call: str, number: int) -> list[str]:
    """A tracer that ends a process at its N-th call, before that call does anything."""
    return _tracer(call, f"signal=SIGKILL:when={number}")


def fail_from(call: str, number: int, error: str) -> list[str]:
    """A tracer that lets a process's N-th call fail, and each one after it."""
    return _tracer(call, f"error={error}:when={number}+")


def record(call: str, path: str) -> list[str]:
    """A tracer that only writes down the calls."""
    return ["strace", "-qq", "-o", path, "-e", f"trace={CALLS[call]}"]


def _tracer(call: str, fault: str) -> list[str]:
    calls = CALLS[call]
    return [*record(call, "/dev/null"), "-e", f"inject={calls}:{fault}"]


class attached:  # noqa: N801 - reads as a phrase where it is used
    """A tracer of a process, from when it has really attached until the process is gone."""

    def __init__(self, words: Sequence[str], pid: int) -> None:
        self._words = [*words, "-p", str(pid)]
        self._pid = pid

    def __enter__(self) -> Self:
        self._tracer = subprocess.Popen(self._words, stderr=subprocess.PIPE, text=True)
        wait_until(self._has_attached, 10.0, "the tracer attaches")
        return self

    def _has_attached(self) -> bool:
        if self._tracer.poll() is not None:
            raise RuntimeError(f"{self._words[0]} ended: {self._tracer.stderr.read()}")
        status = Path(f"/proc/{self._pid}/status").read_text()
        return f"TracerPid:\t{self._tracer.pid}\n" in status

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tracer.terminate()  # where the process still lives, it goes on without it
        self._tracer.communicate()


@cache
def why_not() -> str | None:
    """Why no fault can be injected on this machine; None where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    command = [*kill_at("write", 1), sys.executable, "-c", "print(1, flush=True)"]
    traced = subprocess.run(command, capture_output=True, text=True)
    if traced.stdout or traced.returncode == 0:
        return f"strace may not trace here: {traced.stderr.strip() or 'no fault came'}"
    return None
