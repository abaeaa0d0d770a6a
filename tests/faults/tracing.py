"""Faults at chosen system calls, put there by strace."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.waiting import wait_until

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


@contextmanager
def attached(words: Sequence[str], pid: int) -> Iterator[None]:
    """Let a tracer follow a process: inside the block it has attached, until either is gone."""
    command = [*words, "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: _follows(tracer, pid), f"{words[0]} attaches")
        yield
    finally:
        tracer.terminate()  # where the process still lives, it goes on without it
        tracer.communicate()


def _follows(tracer: subprocess.Popen[str], pid: int) -> bool:
    if tracer.poll() is not None:
        raise RuntimeError(f"the tracer ended: {tracer.stderr.read()}")
    return f"TracerPid:\t{tracer.pid}\n" in Path(f"/proc/{pid}/status").read_text()


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
