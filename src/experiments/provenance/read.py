"""The folder ``provenance/`` read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..domain.errors import StorageError, UsageError
from ..domain.paths import ExperimentPaths
from ..durability.files import read_json
from .write import DIFF, SUMMARY, UNTRACKED

DEFAULT_PROGRAM = {"package": "src.experiments", "directory": "src/experiments"}
"""Where the program was in a clone, when its place was not recorded yet."""


@dataclass(frozen=True)
class RecordedCode:
    """The state of the code in a repository: a commit, and what differed from it."""

    commit: str
    branch: str | None
    repository: str | None
    """URL of the remote repository."""
    prefix: str
    """Directory in the repository in which the experiment was started."""
    diff: Path
    """Patch of the tracked files; empty where nothing differed."""
    untracked: Path | None
    """Patch that creates untracked files; None where none was written."""
    untracked_files: tuple[str, ...]
    """Those that it creates."""
    untracked_names: tuple[str, ...]
    """All untracked files, as far as they were listed."""
    why_incomplete: tuple[str, ...]
    """Why the patches do not lead to the code that trained."""


@dataclass(frozen=True)
class Recorded:
    """What an experiment was started with."""

    code: RecordedCode | None
    """None where no commit was recorded."""
    command: tuple[str, ...]
    packages: Mapping[str, str]
    hardware: Mapping[str, Any]
    environment: Mapping[str, str]
    """Variables that can change results."""
    program: Mapping[str, Any]
    modules: Mapping[str, str | None] = field(default_factory=dict)
    """Modules that were allowed, with their file where that is in the repository."""
    import_roots: tuple[str, ...] = (".",)
    """Directories of the repository in which modules were looked for."""
    imports_elsewhere: tuple[str, ...] = ()
    """Directories outside, by PYTHONPATH."""
    continued: tuple[Mapping[str, Any], ...] = ()
    """Later sessions: time, command, commit, `dirty`, `program_sha256`, host, Python."""


def read_provenance(paths: ExperimentPaths) -> Recorded:
    """What an experiment was started with.

    Raises:
        UsageError: when nothing was recorded.
        StorageError: when it cannot be read.
    """
    file = paths.provenance / SUMMARY
    if not file.is_file():
        raise UsageError(
            "it has no provenance: it was never run", where=str(file), remedy="run it first"
        )
    try:
        return _recorded(read_json(file), paths.provenance)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(
            f"not a record of provenance ({error!r})",
            where=str(file),
            remedy="restore the file from a copy",
        ) from error


def _recorded(told: Mapping[str, Any], folder: Path) -> Recorded:
    imports = told.get("imports") or {}
    modules = told.get("environment_modules") or {}
    return Recorded(
        code=_code(told["git"], folder),
        command=_texts(told["command"]),
        packages=dict(told["packages"]),
        hardware=dict(told["hardware"]),
        environment=dict(told["environment"]),
        program=told.get("program") or DEFAULT_PROGRAM,
        modules={name: each["file"] for name, each in modules.items()},
        import_roots=_texts(imports.get("repository") or ["."]),
        imports_elsewhere=_texts(imports.get("elsewhere") or ()),
        continued=tuple(dict(each) for each in told.get("continued", ())),
    )


def _code(git: Mapping[str, Any] | None, folder: Path) -> RecordedCode | None:
    if git is None or git["commit"] is None:
        return None
    untracked = folder / UNTRACKED
    return RecordedCode(
        commit=str(git["commit"]),
        branch=git["branch"],
        repository=git.get("repository"),
        prefix=git.get("prefix") or "",
        diff=folder / DIFF,
        untracked=untracked if untracked.is_file() else None,
        untracked_files=tuple(git.get("untracked_files") or ()),
        untracked_names=_texts(git["untracked"]),
        why_incomplete=tuple(_why_incomplete(git)),
    )


def _why_incomplete(git: Mapping[str, Any]) -> list[str]:
    files = git.get("untracked_files") or {}
    redacted = [name for name, file in files.items() if file["redacted"]]
    reasons = {
        "the recorded changes were too large and are cut": git["diff_truncated"],
        "secrets were left out of the recorded changes": git.get("diff_redacted"),
        "the recorded changes hold bytes that are not UTF-8, which were replaced": (
            git.get("diff_lossy")
        ),
        f"secrets were left out of untracked files: {', '.join(redacted)}": redacted,
    }
    return [reason for reason, applies in reasons.items() if applies]


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(str(value) for value in values)
