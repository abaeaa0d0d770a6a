"""``experiments grpo``: GRPO against Dr. GRPO on a language task, by the flags of older scripts."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..domain.records import ExecutionMode
from . import options
from .arguments import command_line, described, file_and_overrides, override

OURS = Path(__file__).parents[1] / "config" / "grpo.json"
"""The experiment where none is named."""


def _number(
    option: str, text: str, least: int = 1, most: int | None = None
) -> typer.models.OptionInfo:
    return typer.Option(option, metavar="N", help=text, min=least, max=most)  # type: ignore[no-any-return]


def _above_0(value: float | None) -> float | None:
    if value is not None and not 0.0 < value < math.inf:
        raise typer.BadParameter(f"{value:g} is not a number greater than 0.")
    return value


def _positive(text: str) -> typer.models.OptionInfo:
    return typer.Option(metavar="X", help=text, callback=_above_0)  # type: ignore[no-any-return]


def grpo(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE] [PATH=VALUE]",
            help="Experiment file, else GRPO against DR_GRPO; and overrides (as --set).",
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="arithmetic, multiturn_qa, multiturn_calculator or MODULE:CLASS."
        ),
    ] = None,
    model_name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help='"tiny", a folder, or the id of a model on a hub.'),
    ] = None,
    lr: Annotated[float | None, _positive("Learning rate.")] = None,
    group_size: Annotated[
        int | None, _number("--group-size", "Completions of each prompt.", 2)
    ] = None,
    rollouts_per_step: Annotated[
        int | None, _number("--rollouts-per-step", "Prompts of a batch of completions.")
    ] = None,
    train_batch_size: Annotated[
        int | None, _number("--train-batch-size", "Completions of a minibatch, per process.")
    ] = None,
    temperature: Annotated[float | None, _positive("Of the completions in training.")] = None,
    max_length: Annotated[
        int | None, _number("--max-length", "Tokens of a completion, at most.")
    ] = None,
    checkpoint_interval: Annotated[
        int | None, _number("--checkpoint-interval", "Optimiser steps between checkpoints.")
    ] = None,
    seed: Annotated[int | None, _number("--seed", "The one seed of both arms.", 0)] = None,
    max_prompts: Annotated[
        int | None, _number("--max-prompts", "Different prompts, at most.")
    ] = None,
    processes: Annotated[
        int | None, _number("--processes", "Processes of one run (DDP).", 1, 8)
    ] = None,
    wandb: Annotated[
        bool, typer.Option("--wandb/--no-wandb", help="Tell Weights & Biases.")
    ] = True,
    wandb_project: options.WandbProject = None,
    wandb_offline: options.WandbOffline = False,
    run_name: options.RunName = None,
    log_dir: options.LogDir = None,
    tracker: options.Trackers = None,
    env_file: options.EnvFile = None,
    device: options.Device = None,
    mode: options.Mode = ExecutionMode.SEQUENTIAL,
    max_workers: options.MaxWorkers = options.DEFAULT_MAX_WORKERS,
    overrides: options.Overrides = None,
    allow_env_module: options.EnvironmentModules = None,
    output_dir: options.OutputDir = options.DEFAULT_OUTPUT_DIR,
    resume: options.Resume = False,
    json: options.Json = False,
    verbose: options.Verbose = 0,
) -> int:
    """Train a language model by GRPO and by Dr. GRPO, compare them, and leave a report."""
    from ..config.environment_file import tracker_variables
    from ..config.overrides import apply_overrides
    from ..config.reading import read_document
    from . import tracking_flags
    from .grpo_flags import GrpoFlags, flags_at, overrides_of
    from .opening import Question
    from .running import RunRequest, carry_out

    file, bare = file_and_overrides(words or [], None, file_expected=False)
    document, _ = read_document(file or OURS)
    # what is wrong with them is told once all is loaded
    changes = (*(overrides or ()), *bare)
    document, _ = apply_overrides(document, changes)
    flags = GrpoFlags(
        task=task,
        model_name=model_name,
        lr=lr,
        group_size=group_size,
        rollouts_per_step=rollouts_per_step,
        train_batch_size=train_batch_size,
        temperature=temperature,
        max_length=max_length,
        checkpoint_interval=checkpoint_interval,
        seed=seed,
        max_prompts=max_prompts,
        processes=processes,
    )
    tracking = tracking_flags.TrackingFlags(
        trackers=tuple(tracker or ()),
        wandb=None if wandb else False,
        wandb_project=wandb_project,
        wandb_offline=wandb_offline,
        run_name=run_name,
        log_dir=log_dir,
        env_file=env_file,
        variables=tracker_variables(env_file),
    )
    by_default = [override("trackers+", "wandb")] if wandb else []
    told = [*by_default, *tracking_flags.overrides_of(tracking)]
    last = {"run_name": run_name, "device": device}
    named = described(run_name=run_name, device=device)
    meant = overrides_of(flags, document, is_ours=file is None)
    question = Question(
        config=file or OURS,
        experiment_id=None,
        output_dir=output_dir,
        overrides=(*meant, *changes, *named, *told),
        flags=flags_at(flags, changes, last),
        fallback_tracker=tracking_flags.fallback_of(tracking),
        environment_modules=tuple(allow_env_module or ()),
        resume=resume,
    )
    request = RunRequest(
        # what continues an experiment needs its id alone
        command=" ".join([*context.command_path.split()[:-1], "run"]),
        question=question,
        mode=mode,
        max_workers=max_workers,
        tracking=tracking,
        json=json,
        verbosity=verbose,
        command_line=command_line(context.command_path.split(), sys.argv[1:]),
    )
    return carry_out(request)
