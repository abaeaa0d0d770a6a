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
from collections.abc import Sequence
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Self

import psutil

from tests.waiting import wait_until

from .command import ROOT, Done
from .pair import Pair
from .tracing import attached

IN_PROCESS = ("--executor", "in_process")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""As every training process has it."""


class WarmCommands:
    """Carries out commands one after the other; constructing it starts nothing."""

    def __init__(self) -> None:
        self._open = ExitStack()

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

    def finish(
        self, pair: Pair, *, words: Sequence[str] | None = None, tracer: Sequence[str] = ()
    ) -> Done:
        """Start or go on with an experiment, with a tracer attached before it does anything."""
        stem = pair.next_stem()
        outputs = (stem.with_suffix(".out"), stem.with_suffix(".err"))
        words = [*(pair.words() if words is None else words), *IN_PROCESS]
        pid = self._ask({"words": words, "outputs": list(map(str, outputs))})
        wait_until(lambda: _is_stopped(pid), "it waits")
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


class WarmPool:
    """As many servers of warm commands as are asked at once."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._lock = threading.Lock()
        self._free: list[WarmCommands] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def finish(self, pair: Pair, **how: Sequence[str]) -> Done:
        """As `WarmCommands.finish`."""
        with self._lock:
            server = self._free.pop() if self._free else None
            server = server or self._open.enter_context(WarmCommands())
        done = server.finish(pair, **how)
        with self._lock:
            self._free.append(server)
        return done


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
    serve()
