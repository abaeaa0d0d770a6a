"""The options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_OUTPUT_DIR = Path("results/experiments")
DEFAULT_MAX_WORKERS = 2

OutputDir = Annotated[
    Path,
    typer.Option("--output-dir", metavar="DIR", help="Where experiments lie."),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Only JSON on standard output."),
]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        show_default=False,
        help="Say more; -vv also shows tracebacks.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Override a value of the file; dotted path, value in JSON. Repeatable.",
    ),
]
EnvironmentModules = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-env-module",
        metavar="NAME",
        help="Import a module because it registers environments. Repeatable.",
    ),
]
MaxWorkers = Annotated[
    int,
    typer.Option("--max-workers", metavar="N", help="Runs at the same time in parallel mode."),
]
