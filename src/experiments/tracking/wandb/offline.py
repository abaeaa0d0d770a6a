"""Offline runs of Weights & Biases: files for a later `wandb sync`."""

from __future__ import annotations

import re
import shlex
import shutil
from contextlib import suppress
from pathlib import Path

FOLDER = "wandb"
"""Where the SDK puts the folders of runs, in the experiment's directory."""
_NAME = re.compile(r"offline-run-\d{8}_\d{6}-(?P<id>[^-]+)(?:-\d+)?")


def wandb_sync_command(directory: Path) -> str:
    """The command line that uploads an experiment's offline runs, for a POSIX shell."""
    path = str(directory / FOLDER)
    if path.startswith("-"):
        path = f"./{path}"
    return f"wandb sync {shlex.quote(path)}/offline-run-*/"


def offline_folders(directory: Path, run_id: str) -> list[Path]:
    """The folders of one offline run of an experiment, oldest first."""
    return sorted(
        path
        for path in (directory / FOLDER).glob("offline-run-*")
        if (match := _NAME.fullmatch(path.name))
        and match["id"] == run_id
        and path.is_dir()
        and not path.is_symlink()
        and (path / f"run-{run_id}.wandb").is_file()
    )


def mark_synced(directory: Path, run_id: str) -> None:
    """Let `wandb sync` pass over what a server was told in another way."""
    for folder in offline_folders(directory, run_id):
        _mark(folder, run_id).touch()


def is_synced(directory: Path, run_id: str) -> bool:
    """Whether `wandb sync` has uploaded the run, or need not any more."""
    return any(_mark(folder, run_id).exists() for folder in offline_folders(directory, run_id))


def _mark(folder: Path, run_id: str) -> Path:
    return folder / f"run-{run_id}.wandb.synced"


def remove_offline_folders(directory: Path, run_id: str) -> None:
    """Remove what an earlier telling of a run has left; an offline run cannot be gone on with."""
    for folder in offline_folders(directory, run_id):
        shutil.rmtree(folder)


def tidy_folder(folder: Path, *, keeps_logs: bool) -> None:
    """Leave of a finished run's folder what an upload needs; the SDK's logs are not."""
    if keeps_logs:
        (folder / "logs" / "debug-core.log").unlink(missing_ok=True)  # a link that goes nowhere
    else:
        shutil.rmtree(folder / "logs", ignore_errors=True)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):  # it holds something
                path.rmdir()
