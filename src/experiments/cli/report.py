"""``experiments report``: the report of an experiment that lies there, written anew."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import DEFAULT_OUTPUT_DIR, EnvironmentModules, Json, OutputDir, Verbose


def report(
    experiment_id: Annotated[str, typer.Argument(metavar="ID", help="The experiment's id.")],
    opens: Annotated[
        bool, typer.Option("--open", help="Open the report in the web browser.")
    ] = False,
    allow_env_module: EnvironmentModules = None,
    output_dir: OutputDir = DEFAULT_OUTPUT_DIR,
    json: Json = False,
    verbose: Verbose = 0,  # noqa: ARG001 - read from the arguments when an error is shown
) -> int:
    """Write an experiment's report again from what its runs recorded, and print where it is."""
    from .reporting import tell_where

    return tell_where(
        experiment_id, output_dir, opens=opens, modules=tuple(allow_env_module or ()), json=json
    )
