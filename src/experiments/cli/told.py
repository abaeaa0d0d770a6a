"""Where trackers keep what they were told, as a person copies it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from ..domain.errors import StorageError
from ..domain.paths import ExperimentPaths
from ..tracking.ledger import TrackerEntry, read_ledger
from ..tracking.tracker import Connection

MOST_ADDRESSES = 4
"""Of how many runs the addresses are shown."""


def told_lines(paths: ExperimentPaths) -> Iterator[tuple[str, str]]:
    """Tracker and address of each run, or the command that uploads what was written offline."""
    try:
        entries = read_ledger(paths.ledger)
    except StorageError:
        return  # who asks for it is told; here it is beside the point
    for tracker, entry in entries.items():
        if entry.options.get("connection") == Connection.OFFLINE and entry.runs:
            from ..tracking.wandb.offline import wandb_sync_command

            yield tracker, f"written offline; upload it with: {wandb_sync_command(paths.root)}"
        elif tracker == "tensorboard":
            yield from ((tracker, line) for line in _board(entry))
        else:
            yield from ((tracker, line) for line in _addresses(entry))


def _board(entry: TrackerEntry) -> Iterator[str]:
    """The command that shows all runs side by side."""
    folders = {str(Path(each.url).parent) for each in entry.runs.values() if each.url}
    yield from (shlex.join(["tensorboard", "--logdir", each]) for each in sorted(folders))


def _addresses(entry: TrackerEntry) -> Iterator[str]:
    known = [(run, each.url) for run, each in sorted(entry.runs.items()) if each.url]
    for run, url in known[:MOST_ADDRESSES]:
        yield f"{url}  {run.name}"
    if len(known) > MOST_ADDRESSES:
        yield f"and {len(known) - MOST_ADDRESSES} more runs in {_place(entry)}"


def _place(entry: TrackerEntry) -> str:
    project = entry.options.get("project")
    return f"project {project}" if project else "the same place"
