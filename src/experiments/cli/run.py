"""``experiments run``, and ``python -m src.experiments.runner``: train both arms."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..domain.records import ExecutionMode
from . import options
from .ahead import begin_imports, saved_files
from .arguments import chosen_recovery, command_line, described, file_and_overrides


class Recovery(StrEnum):
    """What happens when a run fails."""

    ABORT = "abort"
    RETRY = "retry"
    SKIP = "skip"


def run(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE [PATH=VALUE]",
            help="Experiment file (as --config) and overrides (as --set).",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Experiment JSON."),
    ] = None,
    experiment_id: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Continue an experiment that exists under --output-dir."),
    ] = None,
    resume: options.Resume = False,
    override_design: Annotated[
        bool,
        typer.Option(
            "--override-design",
            help="Let an experiment that exists change its decision rule or gain seeds; recorded.",
        ),
    ] = False,
    overrides: options.Overrides = None,
    allow_env_module: options.EnvironmentModules = None,
    comment: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Worth remembering."),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Add a word to find it by. Repeatable."),
    ] = None,
    run_name: options.RunName = None,
    mode: options.Mode = ExecutionMode.SEQUENTIAL,
    max_workers: options.MaxWorkers = options.DEFAULT_MAX_WORKERS,
    executor: Annotated[
        str,
        typer.Option(
            metavar="process|in_process|ray",
            help="A process for each run, this one (for debuggers), or a Ray cluster.",
        ),
    ] = "process",
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR",
            help="Connect to this Ray cluster, instead of starting one; implies --executor ray.",
        ),
    ] = None,
    device: options.Device = None,
    no_monitoring: Annotated[
        bool,
        typer.Option("--no-monitoring", help="Do not sample what the runs use."),
    ] = False,
    recovery: Annotated[
        Recovery | None,
        typer.Option(help="What happens when a run fails."),
    ] = None,
    max_retries: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Further attempts of a failed run; implies --recovery retry."
        ),
    ] = None,
    tracker: options.Trackers = None,
    use_clearml: options.UseClearml = None,
    wandb: options.Wandb = None,
    wandb_project: options.WandbProject = None,
    wandb_offline: options.WandbOffline = False,
    log_dir: options.LogDir = None,
    env_file: options.EnvFile = None,
    wandb_only: options.WandbOnly = False,
    disable_local_files: options.DisableLocalFiles = False,
    diagnostics: options.Diagnostics = None,
    output_dir: options.OutputDir = options.DEFAULT_OUTPUT_DIR,
    json: options.Json = False,
    verbose: options.Verbose = 0,
) -> int:
    """Train the baseline and the variant, compare them, and leave a report."""
    file, bare = file_and_overrides(words or [], config, file_expected=experiment_id is None)
    executor = "ray" if ray_address is not None and executor == "process" else executor
    if executor == "process" and (file is None or file.is_file()):
        # beside our own; they end with this process
        begin_imports([file] if file else saved_files(output_dir, experiment_id))

    from ..config.environment_file import tracker_variables
    from .opening import Question
    from .running import RunRequest, carry_out
    from .tracking_flags import TrackingFlags, fallback_of, overrides_of

    tracking = TrackingFlags(
        trackers=tuple(tracker or ()),
        use_clearml=use_clearml,
        wandb=wandb,
        wandb_project=wandb_project,
        wandb_offline=wandb_offline,
        wandb_only=wandb_only,
        disable_local_files=disable_local_files,
        diagnostics=diagnostics,
        run_name=run_name,
        log_dir=log_dir,
        env_file=env_file,
        variables=tracker_variables(env_file),
    )
    told = overrides_of(tracking)

    choice = chosen_recovery(recovery, max_retries)
    starts = choice if experiment_id is None else None
    flags = described(comment=comment, run_name=run_name, recovery=starts, device=device)
    question = Question(
        config=file,
        experiment_id=experiment_id,
        output_dir=output_dir,
        overrides=(*(overrides or ()), *bare, *flags, *told),
        fallback_tracker=fallback_of(tracking),
        tags=tuple(tag or ()),
        recovery=choice,
        environment_modules=tuple(allow_env_module or ()),
        resume=resume,
        override_design=override_design,
    )
    request = RunRequest(
        command=context.command_path,
        question=question,
        mode=mode,
        max_workers=max_workers,
        executor=executor,
        ray_address=ray_address,
        monitoring=not no_monitoring,
        tracking=tracking,
        json=json,
        verbosity=verbose,
        command_line=command_line(context.command_path.split(), sys.argv[1:]),
    )
    return carry_out(request)
