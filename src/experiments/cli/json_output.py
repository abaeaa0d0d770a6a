"""The view for programs: one JSON object a line on standard output, nothing else."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from ..durability.files import json_text
from .snapshot import Change


def write_object(value: Any) -> None:
    """Write one object as one line of strict, pure-ASCII JSON, and flush it."""
    sys.stdout.write(ascii_json(value) + "\n")
    sys.stdout.flush()


def ascii_json(value: Any) -> str:
    """Strict JSON in ASCII: what is not finite is null, and no character can steer a terminal."""
    return json.dumps(json.loads(json_text(value)))


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
