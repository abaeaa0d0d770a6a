"""The further processes of a run as the first sees them: started, listened to, ended."""

from __future__ import annotations

import json
import os
import pickle  # to processes of our own, through a pipe of our own
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import BinaryIO

from ....domain.records import TrainerConfig

FOLLOWER = f"{__package__}.follower"
END_SECONDS = 10.0
"""How long a process may take to end once it is told to."""
LISTENING_SECONDS = 1.0
"""How long the last words of a process that has ended are waited for."""
LAST_LINES = 3
"""Of what a process wrote before its end, so many are told; the frames of a traceback are not."""
_RANK = re.compile(r"^\[rank\d+\]: ?")
"""What torch begins the lines of an error with."""


class Companion:
    """A process that trains along.

    Args:
        rank: its number; the first process is 0.
        config: of the run.
        variables: what it finds in its environment besides.
    """

    def __init__(self, rank: int, config: TrainerConfig, variables: Mapping[str, str]) -> None:
        self.rank = rank
        path = os.pathsep.join(each or os.getcwd() for each in sys.path)  # noqa: PTH109
        self._process = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-m", FOLLOWER],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **variables, "PYTHONPATH": path},
        )
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        assert self._process.stderr is not None  # noqa: S101 - it is a pipe
        self._listener = threading.Thread(
            target=self._listen, args=[self._process.stderr], daemon=True
        )
        self._listener.start()
        self._send(pickle.dumps(config))

    def ended(self) -> str | None:
        """How it ended and what it said last, in a line; None while it lives."""
        code = self._process.poll()
        if code is None:
            return None
        self._listener.join(LISTENING_SECONDS)
        said = " | ".join(self._last)
        return f"ended with code {code}" + (f" ({said})" if said else "")

    def tell_to_end(self) -> None:
        """Close what it listens to."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it ended before it had read everything
                self._process.stdin.close()

    def end(self) -> None:
        """Wait until it has ended, and kill it where that takes too long."""
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(LISTENING_SECONDS)

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with suppress(BrokenPipeError):  # it has ended: told where it is waited for
            self._process.stdin.write(json.dumps(len(data)).encode() + b"\n" + data)
            self._process.stdin.flush()  # and stays open: its end is the end of that process

    def _listen(self, source: BinaryIO) -> None:
        """Pass on what it writes, and remember the last of it."""
        with source:
            for line in source:
                text = line.decode(errors="replace").rstrip()
                sys.stderr.write(f"{text}\n")
                said = _RANK.sub("", text)
                if said and not said.startswith((" ", "Traceback ")):
                    self._last.append(said)
