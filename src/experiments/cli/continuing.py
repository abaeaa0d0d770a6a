"""The command line that continues an experiment in the way in which it was last run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..domain.paths import ExperimentPaths
from ..domain.records import ExecutionMode
from .arguments import dashed
from .options import DEFAULT_MAX_WORKERS, DEFAULT_OUTPUT_DIR

_SEQUENTIAL = ExecutionMode.SEQUENTIAL.value

Chosen = Mapping[str, Sequence[str]]
"""Options with their values, none where the option was not given; a flag's value is empty."""


@dataclass(frozen=True)
class _Kept:
    """An option that holds for the next command as well."""

    default: str | None = None
    is_flag: bool = False
    repeats: bool = False


_KEPT = {
    "--output-dir": _Kept(str(DEFAULT_OUTPUT_DIR)),
    "--mode": _Kept(_SEQUENTIAL),
    "--max-workers": _Kept(str(DEFAULT_MAX_WORKERS)),
    "--executor": _Kept("process"),
    "--ray-address": _Kept(),
    "--allow-env-module": _Kept(repeats=True),
    "--no-monitoring": _Kept(is_flag=True),
    "--tracker": _Kept(repeats=True),
    "--use-clearml": _Kept(is_flag=True),
    "--no-clearml": _Kept(is_flag=True),
    "--wandb": _Kept(is_flag=True),
    "--no-wandb": _Kept(is_flag=True),
    "--env-file": _Kept(),
}
"""What the experiment's file does not hold of the command that began it, in the printed order."""


def resume_command(program: Sequence[str], experiment_id: str, chosen: Chosen) -> str:
    """The command line as it can be typed; what is the default is left out.

    Args:
        program: the words that call `run`.
        experiment_id: of the experiment that goes on.
        chosen: what was chosen of the options that are kept, and others, which are not.
    """
    words = [*program, "--experiment-id", experiment_id]
    for name, kept in _KEPT.items():
        for value in chosen.get(name, ()) if _matters(name, chosen) else ():
            if value != kept.default:
                words += [name] if kept.is_flag else [name, value]
    return shlex.join(words)


def sync_command(
    program: Sequence[str], paths: ExperimentPaths, tracker: str, env_file: Path | None
) -> str:
    """The command line that tells a tracker what it was not told.

    `program`: the words that call `run`.
    """
    package, _, _ = program[-1].rpartition(".runner")
    words = [*program[:-1], package] if package else program[:-1] or ["experiments"]
    settings = ["--env-file", str(env_file)] if env_file else []
    return shlex.join([*words, "sync", str(paths.root), "--to", tracker, *settings])


def chosen_in(command: Sequence[str]) -> dict[str, list[str]]:
    """What a command line says of the options that are kept."""
    chosen: dict[str, list[str]] = {}
    words = iter(command)
    for word in words:
        name, equals, value = word.partition("=")
        name = dashed(name)
        kept = _KEPT.get(name)
        if kept is None:
            continue
        if not kept.is_flag and not equals:
            value = next(words, "")
        chosen[name] = [*(chosen.get(name, ()) if kept.repeats else ()), value]
    return chosen


def _matters(name: str, chosen: Chosen) -> bool:
    """One run at a time is carried out by one worker, whatever was said of workers."""
    modes = {_SEQUENTIAL, *chosen.get("--mode", ())}
    return name != "--max-workers" or modes != {_SEQUENTIAL}
