"""The real command line in a process group of its own, and the end of it by SIGKILL."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from ..domain.errors import ProcessDiedError

RUNNER = f"{__package__.rpartition('.')[0]}.runner"
GONE_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_TAIL_LINES = 8


class RunnerProcess:
    """``python -m …runner`` with these arguments; leaving ends it and all that it started.

    Args:
        arguments: of the runner.
        output: the file that takes what it prints.
    """

    def __init__(self, arguments: Sequence[str], output: Path) -> None:
        self.command = (sys.executable, "-m", RUNNER, *arguments)
        self.output = output
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        entries = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100 - "" is here
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our own module
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(entries)},
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._running.poll()

    @property
    def last_lines(self) -> str:
        """The end of what it printed."""
        text = self.output.read_text(encoding="utf-8", errors="backslashreplace")
        return "\n".join(text.splitlines()[-_TAIL_LINES:])

    def kill(self) -> None:
        """Send SIGKILL to its group and to all that it started; return once none is left.

        Raises:
            ProcessDiedError: when one of them does not go.
        """
        process = self._running
        if process.poll() is not None:
            return
        family: list[psutil.Process] = []
        with suppress(psutil.Error):
            family = psutil.Process(process.pid).children(recursive=True)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for each in family:
            with suppress(psutil.Error):
                each.kill()
        process.wait()
        _, left = psutil.wait_procs(family, timeout=GONE_SECONDS)
        if left:
            pids = ", ".join(str(each.pid) for each in left)
            raise ProcessDiedError(f"killed processes are still there: {pids}")

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("use it in a with block")
        return self._process


def die_with_parent() -> None:
    """Have the kernel kill the runner when this process dies (Linux; elsewhere nothing)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
