"""Saved experiments: finding one, trusting one, and refusing to begin one that exists.

Format 2 holds each run's result in a file of the run's own; format 1 held all of them inside the
experiment's file and is still read.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..domain.errors import ExperimentsError, StorageError, UsageError
from ..domain.paths import ExperimentPaths
from ..domain.records import RunKey, TrainingResult
from .files import read_json, write_json
from .lock import is_locked, locked_error

logger = logging.getLogger(__name__)

FORMAT_VERSION = 2
READABLE_VERSIONS = (1, FORMAT_VERSION)


@dataclass(frozen=True)
class SavedResult:
    """What one run came to, and further numbers that were recorded with it."""

    result: TrainingResult
    metrics: Mapping[str, Any] = field(default_factory=dict)


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
    if saved["format_version"] not in READABLE_VERSIONS:
        raise StorageError(
            f"format {saved['format_version']!r} is not one of {READABLE_VERSIONS}",
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
            "something that is not an experiment is in its place",
            where=str(paths.root),
            remedy="choose another experiment_id or --output-dir",
        )
    if is_locked(paths.lock):
        return locked_error(paths.lock)
    return UsageError(
        f"experiment {paths.experiment_id} already exists",
        where=str(paths.root),
        remedy=(
            f"continue it with --experiment-id {paths.experiment_id}, or with --resume; another "
            "experiment_id starts a new one"
        ),
    )


def write_result(path: Path, run: RunKey, saved: SavedResult) -> None:
    """Write a run's result to its own file, atomically.

    Raises:
        StorageError: when the disk refuses; an earlier result is untouched.
    """
    content = {"run": run.name, "result": saved.result.to_dict(), "metrics": saved.metrics}
    write_json(path, content)


def read_result(path: Path, run: RunKey) -> SavedResult | None:
    """A run's result from its own file; None where there is none.

    None also for a damaged file, with a warning that names it: the run is then trained again, while
    a wrong result would stay unnoticed.

    Raises:
        StorageError: when there is a file and the disk or its permissions refuse to give it.
    """
    try:
        return _as_saved_result(read_json(path), run)
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return None
        if isinstance(error.__cause__, OSError):
            raise
        _warn_of_damage(path, run, error.what)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        _warn_of_damage(path, run, repr(error))
    return None


def results_inside(saved: Mapping[str, Any]) -> dict[RunKey, SavedResult]:
    """The results that the content of an experiment's file holds, which only format 1 does.

    Raises:
        AttributeError, TypeError, ValueError: when they are none.
    """
    metrics = saved.get("metrics", {})
    return {
        RunKey.from_name(name): SavedResult(TrainingResult.from_dict(result), metrics.get(name, {}))
        for name, result in saved.get("results", {}).items()
    }


def _as_saved_result(content: Any, run: RunKey) -> SavedResult:
    result = TrainingResult.from_dict(content["result"])
    if content["run"] != run.name or (result.arm, result.seed) != (run.arm, run.seed):
        raise ValueError(f"it holds the result of {content['run']}")
    return SavedResult(result, dict(content["metrics"]))


def _warn_of_damage(path: Path, run: RunKey, cause: str) -> None:
    logger.warning(
        "%s is damaged (%s): %s counts as not finished and is trained again; "
        "to keep its result, restore the file from a copy before you continue",
        path,
        cause,
        run.name,
    )
