"""Commits of a hub's models: what a folder is of, and what an experiment began with."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from huggingface_hub.utils import HFValidationError, validate_repo_id

from ....config.language import is_local
from ....domain.errors import StorageError
from ....domain.paths import RunPaths
from ....durability.files import publishing, read_json, write_json

COMMIT = re.compile(r"[0-9a-f]{40}")


def commit_of(folder: Path) -> str | None:
    """The commit that a folder of the hub's cache is named by; None of any other folder."""
    is_snapshot = folder.parent.name == "snapshots" and COMMIT.fullmatch(folder.name)
    return folder.name if is_snapshot else None


def commit_begun_with(model_name: str, run_dir: Path | None) -> str | None:
    """The commit of a hub's model with which the experiment of a run began.

    A repository may move on while an experiment goes on: all arms, seeds and attempts train from
    one commit.

    Args:
        model_name: as the experiment file has it.
        run_dir: of the run.

    Returns:
        None where no run has begun yet, the run writes nothing, or the model is no hub's.

    Raises:
        StorageError: when what was recorded cannot be read.
    """
    record = _record(model_name, run_dir)
    return None if record is None or not record.is_file() else _commit_in(record)


def begin_with(commit: str | None, model_name: str, run_dir: Path | None) -> str | None:
    """Have a run's commit be that of its experiment, unless another run was first.

    Args:
        commit: which the run has loaded.
        model_name: as the experiment file has it.
        run_dir: of the run.

    Returns:
        the commit of the run that was first, from which all of them train.

    Raises:
        StorageError: when that cannot be recorded or read.
    """
    record = _record(model_name, run_dir)
    if commit is None or record is None:
        return commit
    # a folder is renamed to one that is not empty by nobody: of several runs one is first
    with suppress(FileExistsError), publishing(record.parent) as folder:
        write_json(folder / record.name, {"name": model_name, "commit": commit})
    return _commit_in(record)


def _record(model_name: str, run_dir: Path | None) -> Path | None:
    """The file that holds the commit, there or not yet; None where none is to be recorded."""
    if run_dir is None or is_local(model_name):
        return None
    try:
        validate_repo_id(model_name)
    except HFValidationError:  # no name that a hub could know
        return None
    return RunPaths(run_dir).experiment.model_commit(model_name)


def _commit_in(record: Path) -> str:
    found = read_json(record)
    commit = str(found.get("commit")) if isinstance(found, dict) else ""
    if not COMMIT.fullmatch(commit):
        raise StorageError(
            "it names no commit of a model",
            where=str(record),
            remedy="restore the file from a copy, or begin a new experiment",
        )
    return commit
