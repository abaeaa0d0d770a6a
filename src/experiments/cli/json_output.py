"""The view for programs: one JSON object a line on standard output, nothing else."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from ..durability.files import json_text
from .snapshot import Change, Changes, Snapshot


def write_object(value: Any) -> None:
    """Write one object as one line of strict, pure-ASCII JSON, and flush it."""
    sys.stdout.write(ascii_json(value) + "\n")
    sys.stdout.flush()


def ascii_json(value: Any) -> str:
    """Strict JSON in ASCII: what is not finite is null, and no character can steer a terminal."""
    return json.dumps(json.loads(json_text(value)))


class JsonEvents:
    """Events of the runs as JSON lines; notices go where a person reads."""

    def __init__(
        self,
        write: Callable[[Any], None],
        warn: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._warn = warn
        self._changes = Changes(clock)

    def open(self) -> None:
        """Nothing to prepare."""

    def update(self, snapshot: Snapshot, notices: Sequence[str]) -> None:
        """Write an object for each change, and the notices for a person."""
        for notice in notices:
            self._warn(notice)
        for change in self._changes.since_last(snapshot):
            self._write(event(change))

    def close(self) -> None:
        """Nothing to give back."""


def event(change: Change) -> dict[str, Any]:
    """A change as a program reads it."""
    progress = asdict(change.progress)
    run = progress.pop("run")
    return {
        "event": change.kind.value,
        "run": change.progress.run.name,
        **run,
        **progress,
        "percent": round(change.progress.percent, 2),
    }
