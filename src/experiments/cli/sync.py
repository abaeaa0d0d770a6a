"""``experiments sync``: tell a tracker what lies there, now or once more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ..domain.errors import UsageError
from . import options

_SEVERAL = ("--tags", "--tag")


class SyncCommand(TyperCommand):
    """Takes several words after ``--tags``, up to the next option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each of its words."""
        words: list[str] = []
        option = None
        for word in args:
            if word.startswith("-"):
                option = word if word in _SEVERAL else None
                words += [] if option else [word]
            else:
                words += [option, word] if option else [word]
        return super().parse_args(ctx, words)


def sync(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Directory of the experiment.")],
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to", metavar="clearml|wandb|tensorboard", help="Tracker to upload to. Repeatable."
        ),
    ] = None,
    project: Annotated[
        str | None, typer.Option(metavar="NAME", help="Project; default: as for `run`.")
    ] = None,
    task_name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the runs; default: as in the experiment."),
    ] = None,
    tags: Annotated[
        list[str] | None,
        typer.Option("--tags", "--tag", metavar="TEXT…", help="Tags to find the runs by."),
    ] = None,
    log_dir: options.LogDir = None,
    env_file: options.EnvFile = None,
    json: options.Json = False,
    verbose: options.Verbose = 0,  # noqa: ARG001 - tracebacks are told of by who calls
) -> int:
    """Upload a stored experiment to trackers; what was uploaded before is not uploaded again."""
    from ..config.environment_file import tracker_variables
    from ..tracking.choosing import TrackingChoice
    from .syncing import SyncRequest, carry_out

    if not to:
        raise UsageError(
            "no tracker is named to upload to", remedy="add --to clearml, wandb or tensorboard"
        )
    choice = TrackingChoice(
        project=project,
        name=task_name,
        tags=tuple(tags or ()),
        wandb_offline=False,
        log_dir=log_dir,
        variables=tracker_variables(env_file),
    )
    return carry_out(SyncRequest(path, tuple(dict.fromkeys(to)), choice, json))
