"""Commands without their seconds of imports: forked from a process that has made them.

They train in their own process (``--executor in_process``), so that each of their system calls can
be counted, and a fault put at any of them.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from .pair import ROOT, Done, Pair, wait_until

IN_PROCESS = ("--executor", "in_process")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""As every training process has it."""


class WarmCommands:
    """Carries out commands one after the other; constructing it starts nothing."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        words = [sys.executable, "-m", __name__]
        self._server = subprocess.Popen(
            words,
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **ONE_THREAD},
        )
        self._open.enter_context(closing(self._server.stdout))
        self._open.callback(self._server.wait)
        self._open.enter_context(closing(self._server.stdin))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def finish(self, pair: Pair, *options: str, tracer: Sequence[str] = ()) -> Done:
        """Start or go on with an experiment, with a tracer attached before it does anything."""
        with self._turn:
            stem = pair.next_stem()
            outputs = (stem.with_suffix(".out"), stem.with_suffix(".err"))
            words = [*pair.words(*options), *IN_PROCESS]
            pid = self._ask({"words": words, "outputs": list(map(str, outputs))})
            wait_until(lambda: _is_stopped(pid), 10.0, "it waits")
            with ExitStack() as stack:
                if tracer:
                    stack.enter_context(attached(tracer, pid))
                os.kill(pid, signal.SIGCONT)
                code = int(self._server.stdout.readline())
            return Done(code, *(path.read_text(errors="replace") for path in outputs))

    def _ask(self, request: dict) -> int:
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())


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


def _is_stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def serve() -> None:
    """Import what commands need, then fork one for each line on standard input."""
    import src.experiments.analysis.charts
    import src.experiments.analysis.page
    import src.experiments.cli.running
    import src.experiments.training.warmup  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become_command(**request)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become_command(words: list[str], outputs: list[str]) -> None:
    from src.experiments.cli.app import runner_main

    os.setsid()
    for number, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    sys.argv = [sys.argv[0], *words]
    os.kill(os.getpid(), signal.SIGSTOP)  # until a tracer is attached
    code: object = 70
    try:
        runner_main(words)
    except SystemExit as leaving:
        code = leaving.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    started = time.monotonic()
    serve()
