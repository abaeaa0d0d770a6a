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
    typer.Option("--output-dir", metavar="DIR", help="Directory that holds the experiments."),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print only JSON on standard output."),
]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        show_default=False,
        help="Print more; -vv also shows tracebacks.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Override a value of the file: dotted path, JSON value. Repeatable.",
    ),
]
EnvironmentModules = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-env-module",
        metavar="NAME",
        help="Import this module, which registers environments. Repeatable.",
    ),
]
Trackers = Annotated[
    list[str] | None,
    typer.Option(
        "--tracker",
        metavar="clearml|wandb|tensorboard",
        help="Report to this tracker as well. Repeatable.",
    ),
]
UseClearml = Annotated[
    bool | None,
    typer.Option(
        "--use-clearml/--no-clearml",
        show_default=False,
        help="Turn ClearML on or off, whatever USE_CLEARML or the file says.",
    ),
]
Wandb = Annotated[
    bool | None,
    typer.Option(
        "--wandb/--no-wandb",
        show_default=False,
        help="Turn Weights & Biases on or off, whatever the file says.",
    ),
]
WandbProject = Annotated[
    str | None,
    typer.Option(
        "--wandb-project",
        metavar="NAME",
        help="W&B project; default: WANDB_PROJECT, else the experiment's id. Implies --wandb.",
    ),
]
WandbOffline = Annotated[
    bool,
    typer.Option("--wandb-offline", help="Log to files for a later `wandb sync`. Implies --wandb."),
]
WandbOnly = Annotated[
    bool,
    typer.Option(
        "--wandb-only", help="Keep only the results here, everything else on W&B. Implies --wandb."
    ),
]
DisableLocalFiles = Annotated[
    bool,
    typer.Option(
        "--disable-local-files", help="Keep no figures on the local disk; models are kept."
    ),
]
Diagnostics = Annotated[
    bool | None,
    typer.Option(
        "--diagnostics/--no-diagnostics",
        " /--disable-curvature-during-training",
        show_default=False,
        help="Measure the curvature of the policy loss during training (slower).",
    ),
]
LogDir = Annotated[
    Path | None,
    typer.Option(
        "--log-dir",
        metavar="DIR",
        help="Write TensorBoard files to this directory if Weights & Biases is off.",
    ),
]
EnvFile = Annotated[
    Path | None,
    typer.Option(
        "--env-file", metavar="FILE", help="Read tracker settings from this file instead of .env."
    ),
]
RunName = Annotated[
    str | None,
    typer.Option("--run-name", metavar="TEXT", help="Name the runs in results and trackers."),
]
Device = Annotated[
    str | None,
    typer.Option("--device", metavar="auto|cpu|cuda[:N]", help="Device that both arms train on."),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Start the experiment, or continue it if its id already exists."),
]
Mode = Annotated[
    ExecutionMode,
    typer.Option(
        "--mode", help="One run at a time, several at once, or a dry run that writes nothing."
    ),
]
MaxWorkers = Annotated[
    int,
    typer.Option(
        "--max-workers", metavar="N", help="Maximum number of simultaneous runs in parallel mode."
    ),
]
