"""Saved experiments: finding one, trusting one, and refusing to begin one that exists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..domain.errors import ExperimentsError, StorageError, UsageError
from ..domain.paths import ExperimentPaths
from .lock import is_locked, locked_error

FORMAT_VERSION = 1


def find_experiment_file(path: Path) -> Path:
    """The ``experiment_{id}.json`` in an experiment's directory, or the file itself.

    Raises:
        StorageError: when there is none.
    """
    file = path / f"experiment_{path.resolve().name}.json" if path.is_dir() else path
    if not file.is_file():
        raise StorageError(
            "no saved experiment here",
            where=str(path),
            remedy="name the experiment's directory; `experiments list` shows what there is",
        )
    return file


def check_saved(saved: Mapping[str, Any], experiment_id: str, file: Path) -> None:
    """Refuse a file of another format, or one that holds another experiment than its name says.

    Raises:
        StorageError: naming the file.
        KeyError: when it names no format.
    """
    if saved["format_version"] != FORMAT_VERSION:
        raise StorageError(
            f"format {saved['format_version']!r} is not {FORMAT_VERSION}",
            where=str(file),
            remedy="read it with the version that wrote it",
        )
    if file.name != f"experiment_{experiment_id}.json":
        raise StorageError(
            f"it holds experiment {experiment_id}",
            where=str(file),
            remedy="restore the file from a copy",
        )


def existing_error(paths: ExperimentPaths) -> ExperimentsError:
    """Why an experiment cannot begin whose place is taken."""
    if not paths.experiment.exists():
        return UsageError(
            "something that is no experiment stands in its place",
            where=str(paths.root),
            remedy="choose another experiment_id or --output-dir",
        )
    if is_locked(paths.lock):
        return locked_error(paths.lock)
    return UsageError(
        f"experiment {paths.experiment_id} exists already",
        where=str(paths.root),
        remedy=f"continue it with --experiment-id {paths.experiment_id}, or with --resume;"
        " another experiment_id starts anew",
    )
