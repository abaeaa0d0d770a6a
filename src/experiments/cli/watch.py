"""``experiments watch``: the view of a running experiment, from another terminal."""

from __future__ import annotations

import math
import signal
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Annotated

import typer

from . import stored
from .options import DEFAULT_OUTPUT_DIR, Json, OutputDir, Verbose

if TYPE_CHECKING:
    from rich.console import Console

    from .following import Follower
    from .snapshot import Snapshot

FIRST_SCREEN_SECONDS = 0.03
"""How long a terminal waits for a thousand runs to be read before it shows some."""
_LINES_BELOW = 3
"""What follows on the last view, so that its heading stays in sight."""


def watch(
    context: typer.Context,
    experiment_id: Annotated[str, typer.Argument(metavar="ID", help="The experiment's id.")],
    output_dir: OutputDir = DEFAULT_OUTPUT_DIR,
    json: Json = False,
    verbose: Verbose = 0,  # noqa: ARG001 - read from the arguments when an error is shown
) -> int:
    """Follow an experiment that another process runs, until it ends; Ctrl-C leaves it alone."""
    from .displays import display_for
    from .following import Follower
    from .screen import animates, human_console

    people = human_console(json=json)
    patience = FIRST_SCREEN_SECONDS if animates(people) and not json else math.inf
    follower = Follower(stored.find(output_dir, experiment_id), patience_seconds=patience)
    if follower.end is None:
        _follow(follower, people, json=json)
    elif json:
        display_for(people, json=True).update(follower.snapshot(), [])
    program = [*context.command_path.split()[:-1], "run"]
    _tell_the_end(follower, people, continued_by(program, follower, output_dir), json=json)
    return 0


def continued_by(program: Sequence[str], follower: Follower, output_dir: Path) -> str:
    """The command line that continues the experiment in the way in which it was last run."""
    from .continuing import chosen_in, resume_command

    chosen = {**chosen_in(follower.session.command), "--output-dir": [str(output_dir)]}
    return resume_command(program, follower.paths.experiment_id, chosen)


def _follow(follower: Follower, people: Console, *, json: bool) -> None:
    """Show what happens until the experiment ends.

    Raises:
        Stopped: on a signal, and when nobody reads any more.
        Exception: whatever ended the view.
    """
    from .displays import display_for
    from .signals import Stopped, stopping
    from .watching import Notices, Watcher, logged_to

    notices = Notices()
    ends: SimpleQueue[int | Exception | None] = SimpleQueue()  # safe in a signal handler

    def snapshot() -> Snapshot:
        taken = follower.snapshot()
        if follower.end is not None:
            ends.put(None)
        return taken

    watcher = Watcher(snapshot, display_for(people, json=json), notices, on_failure=ends.put)
    with logged_to(notices), stopping(ends.put), watcher:
        reason = ends.get()
    match reason:
        case int():
            raise Stopped(reason)
        case BrokenPipeError():
            raise Stopped(signal.SIGPIPE)
        case Exception():
            raise reason


def _tell_the_end(follower: Follower, people: Console, resume: str, *, json: bool) -> None:
    """Print the final table once, and how to go on where something is left to do."""
    from rich.text import Text

    from . import outcome
    from .json_output import write_object
    from .view import render
    from .wording import printable

    experiment = stored.read(follower.paths)
    if experiment.results and experiment.results.get("status") == follower.end:
        outcome.print_outcome(people, experiment)
    else:
        snapshot = follower.snapshot()
        lines = people.height - _LINES_BELOW if people.is_terminal else len(snapshot.runs) + 10
        people.print(render(snapshot, width=people.width, height=lines), end="")
        outcome.print_problems(people, experiment)
    if follower.end != "completed":
        text = f"{follower.end}; continue with:\n  {resume}"
        people.print(Text(printable(text, keep_newlines=True)), soft_wrap=True)
    if json:
        write_object({**outcome.as_json(experiment), "status": follower.end, "exit_code": 0})
