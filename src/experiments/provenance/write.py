"""The folder ``provenance/`` of an experiment: what was gathered, as files that a person reads."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ..domain.paths import ExperimentPaths
from ..durability.files import read_json, write_atomically, write_json
from .packages import requirements_text
from .untracked import creating_patch

SUMMARY = "provenance.json"
DIFF = "uncommitted.diff"
PACKAGES = "packages.txt"
UNTRACKED = "untracked.diff"
"""A patch that creates the untracked files that were kept."""
EXPERIMENT_FILE = "experiment_file.json"


def write_provenance(paths: ExperimentPaths, provenance: Mapping[str, Any]) -> None:
    """Write the folder ``provenance/``; a continued experiment keeps what it was started with.

    A later call leaves the files of the first and notes its own time, command, commit and machine
    under ``continued`` in `provenance.json`.

    Raises:
        StorageError: when the disk refuses, or an earlier `provenance.json` is damaged.
    """
    folder = paths.provenance
    summary_file = folder / SUMMARY
    if summary_file.is_file():
        earlier = read_json(summary_file)
        continued = [*earlier.get("continued", []), _continuation(provenance)]
        write_json(summary_file, earlier | {"continued": continued})
        return
    git = provenance["git"] or {}
    write_atomically(folder / "git_commit.txt", f"{git.get('commit') or 'none'}\n")
    write_atomically(folder / DIFF, git.get("diff", ""))
    write_atomically(folder / "command.txt", f"{shlex.join(provenance['command'])}\n")
    requirements = requirements_text(provenance["packages"], provenance.get("package_sources"))
    write_atomically(folder / PACKAGES, requirements)
    write_json(folder / "hardware.json", provenance["hardware"])
    texts = {name: file["text"] for name, file in git.get("untracked_files", {}).items()}
    write_atomically(folder / UNTRACKED, creating_patch(texts))
    if given := provenance.get("experiment_file"):
        write_atomically(folder / EXPERIMENT_FILE, given["text"])
    # last: its presence says that the others are there
    write_json(summary_file, _summary(provenance))


def _summary(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Everything except what has a file of its own."""
    git, given = provenance["git"], provenance.get("experiment_file")
    if git:
        git = {name: value for name, value in git.items() if name != "diff"}
        files = git.get("untracked_files", {})
        git["untracked_files"] = {name: _without_text(file) for name, file in files.items()}
    return {**provenance, "git": git, "experiment_file": given and _without_text(given)}


def _without_text(file: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in file.items() if name != "text"}


def _continuation(provenance: Mapping[str, Any]) -> dict[str, Any]:
    git = provenance["git"] or {}
    machine = provenance["hardware"]
    return {
        "time": provenance["time"],
        "command": provenance["command"],
        "commit": git.get("commit"),
        "dirty": git.get("dirty"),
        "program_sha256": (provenance.get("program") or {}).get("sha256"),
        "hostname": machine["hostname"],
        "python": machine["python"],
    }
