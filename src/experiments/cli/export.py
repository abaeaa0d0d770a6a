"""``experiments export``: an experiment's results as tables, for other programs and for papers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .export_choices import Format, What
from .options import DEFAULT_OUTPUT_DIR, EnvironmentModules, OutputDir, Verbose


def export(
    experiment_id: Annotated[str, typer.Argument(metavar="ID", help="The experiment's id.")],
    form: Annotated[
        Format,
        typer.Option(
            "--format", "-f", help="csv, parquet: a table; json, yaml: all results; latex: a row."
        ),
    ],
    what: Annotated[
        What | None,
        typer.Option(help="With csv or parquet: which table; default: runs."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write to this file instead of standard output."
        ),
    ] = None,
    row_only: Annotated[
        bool,
        typer.Option("--row-only", help="With latex: only the row, without the table around it."),
    ] = False,
    allow_env_module: EnvironmentModules = None,
    output_dir: OutputDir = DEFAULT_OUTPUT_DIR,
    verbose: Verbose = 0,  # noqa: ARG001 - read from the arguments when an error is shown
) -> int:
    """Export an experiment's runs, arms, comparison, evaluations or metrics."""
    from .exporting import Request, carry_out

    modules = tuple(allow_env_module or ())
    return carry_out(Request(experiment_id, output_dir, form, what, output, row_only, modules))
