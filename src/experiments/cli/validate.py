"""``experiments validate``: everything that can be known about an experiment before training."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options
from .arguments import file_and_overrides


def validate(
    words: Annotated[
        list[str],
        typer.Argument(metavar="FILE [PATH=VALUE]", help="Experiment file and overrides."),
    ],
    schema_only: Annotated[
        bool,
        typer.Option(
            "--schema-only", help="Only check the file, build nothing; takes well under a second."
        ),
    ] = False,
    overrides: options.Overrides = None,
    allow_env_module: options.EnvironmentModules = None,
    max_workers: options.MaxWorkers = options.DEFAULT_MAX_WORKERS,
    json: options.Json = False,
    verbose: options.Verbose = 0,  # noqa: ARG001 - read from the arguments when an error is shown
) -> int:
    """Check an experiment file, build both trainers, and estimate time, memory and disk."""
    from ..experiment import Experiment
    from .opening import Question, check_workers, load
    from .rehearsing import check, rehearse

    check_workers(max_workers)
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
    experiment = Experiment.from_config(config)
    if schema_only:
        return check(experiment, json=json)
    return rehearse(experiment, max_workers, executor="process", json=json)
