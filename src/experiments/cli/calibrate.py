"""``experiments calibrate``: how often the decision rule calls two equal arms different (A/A)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from ..domain.errors import UsageError
from ..domain.records import ExecutionMode
from . import options
from .arguments import command_line


def calibrate(
    context: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="ID|DIR|FILE",
            help="Experiment to resample, or an experiment file whose baseline is trained twice.",
        ),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Resample a CSV file instead, as for `compare --scores`."
        ),
    ] = None,
    arm: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Arm whose runs are resampled; default: the baseline."),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(metavar="N", help="Seeds per arm; default: as many as there are."),
    ] = None,
    effect: Annotated[
        list[float] | None,
        typer.Option(
            metavar="SIZE", help="Print how many seeds this difference takes. Repeatable."
        ),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="With --scores: accepted share of false alarms; default: 0.05."
        ),
    ] = None,
    paired: Annotated[
        bool, typer.Option("--paired", help="With --scores: compare runs in pairs.")
    ] = False,
    sequential: Annotated[
        str | None,
        typer.Option(
            metavar="FIRST,BATCH,MAX", help="With --scores: sequential design, in seeds per arm."
        ),
    ] = None,
    floor: Annotated[
        float | None,
        typer.Option(metavar="SCORE", help="With --scores: the score given to a failed run."),
    ] = None,
    experiment_id: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Continue a calibration whose training was interrupted."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Start training, or continue if the id already exists.")
    ] = False,
    overrides: options.Overrides = None,
    allow_env_module: options.EnvironmentModules = None,
    mode: Annotated[
        ExecutionMode,
        typer.Option(help="With an experiment file: one run at a time, or several at once."),
    ] = ExecutionMode.SEQUENTIAL,
    max_workers: options.MaxWorkers = options.DEFAULT_MAX_WORKERS,
    output_dir: options.OutputDir = options.DEFAULT_OUTPUT_DIR,
    json: options.Json = False,
    verbose: options.Verbose = 0,
) -> int:
    """Print how often two equal arms are called different, and what chance alone looks like."""
    given = [name for name in (target, scores, experiment_id) if name is not None]
    if len(given) != 1:
        raise UsageError(
            f"{'none' if not given else 'several'} of ID, FILE, --scores and --experiment-id given",
            remedy=(
                "name recorded runs, an experiment file, a table of scores, or a calibration to "
                "continue"
            ),
        )
    from .calibrating import Resampling, tell_calibration
    from .scores import check_positive

    effects = tuple(effect or ())
    rule = {"alpha": alpha, "paired": paired or None}
    trains = experiment_id is not None or (target is not None and Path(target).is_file())
    if scores is None:
        of_scores = {**rule, "sequential": sequential, "floor": floor}
        _refuse(of_scores, "--scores FILE", "an experiment's rule is in its file")
    if trains:
        _refuse({"arm": arm}, "recorded runs", "the baseline is trained")
    else:
        of_training = {"set": overrides, "allow-env-module": allow_env_module}
        _refuse(
            {**of_training, "resume": resume or None}, "an experiment file", "nothing is trained"
        )
    if experiment_id is not None:
        _refuse({"seeds": seeds}, "a new calibration", "its seeds are planned already")
    for size in effects:
        check_positive("--effect", size)
    resampling = Resampling(
        target, scores, arm, seeds, effects, rule, sequential, floor, output_dir
    )
    if not trains:
        return tell_calibration(resampling, json=json)
    from .opening import Question
    from .running import RunRequest
    from .training_twice import train_twice

    question = Question(
        config=None if target is None else Path(target),
        experiment_id=experiment_id,
        output_dir=output_dir,
        overrides=tuple(overrides or ()),
        environment_modules=tuple(allow_env_module or ()),
        resume=resume,
    )
    request = RunRequest(
        command=context.command_path,
        question=question,
        mode=mode,
        max_workers=max_workers,
        json=json,
        verbosity=verbose,
        command_line=command_line(context.command_path.split(), sys.argv[1:]),
    )
    return train_twice(request, resampling)


def _refuse(options: Mapping[str, object], place: str, why: str) -> None:
    """Refuse options that mean nothing here; none is ignored silently.

    Raises:
        UsageError: naming the option.
    """
    for name, value in options.items():
        if value is not None:
            raise UsageError(f"--{name} applies only to {place}", remedy=f"leave it out: {why}")
