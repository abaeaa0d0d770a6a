"""``experiments clean``: remove what an experiment or a workspace no longer needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import DEFAULT_OUTPUT_DIR, Json, OutputDir, Verbose


def clean(
    experiment_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="The experiment's id.")
    ] = None,
    output_dir: OutputDir = DEFAULT_OUTPUT_DIR,
    workspace: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Clean a project directory instead of an experiment."),
    ] = None,
    models: Annotated[bool, typer.Option("--models", help="Final policies.")] = False,
    figures: Annotated[bool, typer.Option("--figures", help="Figures and HTML pages.")] = False,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Checkpoints, and attempts' copies of models.")
    ] = False,
    trackers: Annotated[
        bool, typer.Option("--trackers", help="W&B runs and TensorBoard files.")
    ] = False,
    logs: Annotated[bool, typer.Option("--logs", help="Logs.")] = False,
    caches: Annotated[
        bool, typer.Option("--caches", help="Bytecode and leftover temporary files.")
    ] = False,
    everything: Annotated[
        bool,
        typer.Option("--all", help="All of the above; for an experiment, everything else as well."),
    ] = False,
    unsynced: Annotated[
        bool, typer.Option("--unsynced", help="Offline W&B runs that were never synced.")
    ] = False,
    unfinished: Annotated[
        bool,
        typer.Option(
            "--unfinished", help="Also checkpoints that unfinished runs would resume from."
        ),
    ] = False,
    changed: Annotated[
        bool, typer.Option("--changed", help="Also files that differ from the manifest.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List only, remove nothing.")] = False,
    json: Json = False,
    verbose: Verbose = 0,
) -> int:
    """List what could be removed; remove what is selected, once that is confirmed."""
    from ..cleaning import Kind
    from .cleaning import Request, carry_out

    chosen = {
        Kind.MODELS: models,
        Kind.FIGURES: figures,
        Kind.CHECKPOINTS: checkpoints,
        Kind.TRACKERS: trackers,
        Kind.LOGS: logs,
        Kind.CACHES: caches,
        Kind.UNSYNCED: unsynced,
    }
    return carry_out(
        Request(
            experiment_id,
            output_dir,
            workspace,
            frozenset(kind for kind, is_chosen in chosen.items() if is_chosen),
            everything=everything,
            unfinished=unfinished,
            changed=changed,
            yes=yes,
            dry_run=dry_run,
            json=json,
            verbose=verbose > 0,
        )
    )
