"""The options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..domain.paths import DEFAULT_OUTPUT_DIR as DEFAULT_OUTPUT_DIR  # for the commands' defaults
from ..domain.records import ExecutionMode

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
Trackers = Annotated[
    list[str] | None,
    typer.Option(
        "--tracker",
        metavar="clearml|wandb|tensorboard",
        help="Tell this system as well. Repeatable.",
    ),
]
UseClearml = Annotated[
    bool | None,
    typer.Option(
        "--use-clearml/--no-clearml",
        show_default=False,
        help="Tell ClearML, or not, whatever USE_CLEARML says.",
    ),
]
Wandb = Annotated[
    bool | None,
    typer.Option(
        "--wandb/--no-wandb",
        show_default=False,
        help="Tell Weights & Biases, or not, whatever the file says.",
    ),
]
WandbProject = Annotated[
    str | None,
    typer.Option(
        "--wandb-project",
        metavar="NAME",
        help="Project; else WANDB_PROJECT, else the experiment's id. Implies --wandb.",
    ),
]
WandbOffline = Annotated[
    bool,
    typer.Option("--wandb-offline", help="Write files for a later `wandb sync`. Implies --wandb."),
]
WandbOnly = Annotated[
    bool,
    typer.Option("--wandb-only", help="Keep results here, all else there alone. Implies --wandb."),
]
DisableLocalFiles = Annotated[
    bool,
    typer.Option("--disable-local-files", help="Keep no figure files here; models stay."),
]
Diagnostics = Annotated[
    bool | None,
    typer.Option(
        "--diagnostics/--no-diagnostics",
        " /--disable-curvature-during-training",
        show_default=False,
        help="Measure the curvature of the policy loss during training; costs time.",
    ),
]
LogDir = Annotated[
    Path | None,
    typer.Option(
        "--log-dir",
        metavar="DIR",
        help="Write TensorBoard files there, where Weights & Biases is off.",
    ),
]
EnvFile = Annotated[
    Path | None,
    typer.Option("--env-file", metavar="FILE", help="Settings of trackers instead of .env."),
]
RunName = Annotated[
    str | None,
    typer.Option("--run-name", metavar="TEXT", help="Name of the runs in results."),
]
Device = Annotated[
    str | None,
    typer.Option("--device", metavar="auto|cpu|cuda[:N]", help="Where both arms train."),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Start, or continue if the id exists already."),
]
Mode = Annotated[
    ExecutionMode,
    typer.Option("--mode", help="One run at a time, several, or a rehearsal that leaves nothing."),
]
MaxWorkers = Annotated[
    int,
    typer.Option("--max-workers", metavar="N", help="Runs at the same time in parallel mode."),
]
