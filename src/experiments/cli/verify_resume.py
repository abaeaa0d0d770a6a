"""``experiments verify-resume``: whether killing and continuing changes anything."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options
from .arguments import file_and_overrides

DEFAULT_KILLS = 2


def verify_resume(
    words: Annotated[
        list[str],
        typer.Argument(metavar="FILE [PATH=VALUE]", help="Experiment file and overrides."),
    ],
    kills: Annotated[
        int, typer.Option(metavar="N", help="How many times each arm is killed.")
    ] = DEFAULT_KILLS,
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Timesteps per training; default: enough for several checkpoints.",
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep what was trained even if every arm is exact.")
    ] = False,
    overrides: options.Overrides = None,
    allow_env_module: options.EnvironmentModules = None,
    json: options.Json = False,
    verbose: options.Verbose = 0,
) -> int:
    """Train a short copy of an experiment, again under SIGKILLs, and compare every bit."""
    from .opening import Question, load
    from .verifying import Wanted, check_counts, tell_whether_exact

    check_counts(kills, steps)
    file, bare = file_and_overrides(words, None)
    config = load(
        Question(
            config=file,
            experiment_id=None,
            output_dir=options.DEFAULT_OUTPUT_DIR,
            overrides=(*(overrides or ()), *bare),
            environment_modules=tuple(allow_env_module or ()),
        )
    )
    return tell_whether_exact(config, Wanted(kills, steps, keep, json, verbose))
