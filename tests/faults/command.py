"""A command in processes of its own, all of which can be found, waited for and killed."""

import os
import random
import signal
import subprocess
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[2]
MARK = "FAULTS_COMMAND"
"""An environment variable by which all processes of one command are found."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


class Command:
    """A command that runs in a session of its own, its output in files beside `stem`."""

    def __init__(
        self, words: Sequence[str], stem: Path, environment: dict[str, str] | None = None
    ) -> None:
        self.mark = uuid.uuid4().hex
        self.stem = stem
        self._stdout, self._stderr = stem.with_suffix(".out"), stem.with_suffix(".err")
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                words,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**os.environ, **(environment or {}), MARK: self.mark},
                start_new_session=True,
            )
        self.began = time.monotonic()
        _begun.append(self)

    @property
    def pid(self) -> int:
        return self.process.pid

    def done(self, seconds: float = HANG_SECONDS) -> Done:
        """Wait for its end; what does not end is killed."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill_everything()
            raise
        return Done(code, *(path.read_text(errors="replace") for path in self._outputs))

    @property
    def _outputs(self) -> tuple[Path, Path]:
        return self._stdout, self._stderr

    def family(self) -> list[psutil.Process]:
        """Every process of the command that is left, whoever its parent is."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == self.mark and process.status() != "zombie":
                    found.append(process)
        return found

    def kill(self) -> None:
        """SIGKILL to the orchestrator alone."""
        self.process.kill()
        self.process.wait()

    def kill_everything(self, rng: random.Random | None = None) -> None:
        """SIGKILL to all its processes, one right after the other; none is left afterwards."""
        while family := self.family():
            (rng or random).shuffle(family)
            for process in family:
                with suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(family, 5.0)
        self.process.wait()

    def ends_within(self, seconds: float) -> bool:
        """Whether it has ended by itself after so many seconds."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


_begun: list[Command] = []


def heed_signals() -> None:
    """Let commands heed SIGINT and SIGHUP, whatever was done to the process that starts them.

    A shell in the background makes its jobs ignore the one, nohup the other, and their children
    would ignore them too.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        # this process still ignores it, and what it starts does not: a handler ends with exec
        signal.signal(signal.SIGHUP, lambda *_: None)


def end_commands(folder: Path) -> None:
    """Kill what is left of the commands whose output lies in a folder or below."""
    for command in [each for each in _begun if folder in each.stem.parents]:
        _begun.remove(command)
        command.kill_everything()
