"""Commits of a hub's models: what a folder is of, and what an experiment began with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ....domain.paths import RunPaths
from ....durability.journal import first_record

COMMIT = re.compile(r"[0-9a-f]{40}")


def commit_of(folder: Path) -> str | None:
    """The commit that a folder of the hub's cache is named by; None of any other folder."""
    is_snapshot = folder.parent.name == "snapshots" and COMMIT.fullmatch(folder.name)
    return folder.name if is_snapshot else None


def commit_begun_with(model_name: str, run_dir: Path | None) -> str | None:
    """The commit with which a run, or else another one of its experiment, began with a model.

    A repository may move on while an experiment goes on: all arms, seeds and attempts train from
    one commit.

    Args:
        model_name: as the experiment file has it.
        run_dir: of the run; those of the others lie beside it.

    Returns:
        None where none has begun yet, or the run writes nothing.
    """
    if run_dir is None:
        return None
    return next(filter(None, (_commit_in(each, model_name) for each in _journals(run_dir))), None)


def _journals(run_dir: Path) -> Iterator[Path]:
    """The run's own first."""
    yield RunPaths(run_dir).journal
    for other in sorted(run_dir.parent.glob("*")):
        yield RunPaths(other).journal


def _commit_in(journal: Path, model_name: str) -> str | None:
    began = first_record(journal).get("starting_model")
    if not isinstance(began, Mapping) or began.get("name") != model_name:
        return None
    commit = str(began.get("commit"))
    return commit if COMMIT.fullmatch(commit) else None
