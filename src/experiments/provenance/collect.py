"""What is needed to reproduce an experiment, gathered and written without secrets."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..domain.paths import ExperimentPaths
from ..domain.redaction import REDACTED, SECRET_NAME, redact, redact_data, secrets_of
from ..durability.files import read_json, write_atomically, write_json
from .git import git_state
from .hardware import hardware
from .packages import package_versions, requirements_text

INFLUENTIAL_VARIABLES = re.compile(
    r"(OMP|MKL|OPENBLAS|VECLIB|NUMEXPR|KMP|CUDA|CUBLAS|NVIDIA|TORCH|PYTORCH)_\w+"
    r"|PYTHONHASHSEED|PYTHONPATH|MUJOCO_GL|LD_PRELOAD"
)
"""Environment variables that can change results or speed; only these are recorded."""


def collect_provenance(
    command_line: Sequence[str], directory: Path | None = None
) -> Mapping[str, Any]:
    """Code, command line, packages, hardware and influential variables, without secrets.

    `directory`: where the code lies; default is the working directory.
    """
    state = git_state(directory)
    secrets = secrets_of(os.environ)
    gathered = {
        "time": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds"),
        "command": redact_command(command_line, secrets),
        "git": asdict(state) if state else None,
        "packages": package_versions(),
        "hardware": asdict(hardware()),
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if INFLUENTIAL_VARIABLES.fullmatch(name)
        },
    }
    return dict(redact_data(gathered, secrets))


def write_provenance(paths: ExperimentPaths, provenance: Mapping[str, Any]) -> None:
    """Write the folder ``provenance/``; a continued experiment keeps what it was started with.

    A later call leaves the files of the first and notes its own time, command, commit and machine
    under ``continued`` in `provenance.json`.

    Raises:
        StorageError: when the disk refuses, or an earlier `provenance.json` is damaged.
    """
    folder = paths.provenance
    summary_file = folder / "provenance.json"
    if summary_file.is_file():
        earlier = read_json(summary_file)
        continued = [*earlier.get("continued", []), _continuation(provenance)]
        write_json(summary_file, earlier | {"continued": continued})
        return
    git = provenance["git"] or {}
    write_atomically(folder / "git_commit.txt", f"{git.get('commit') or 'none'}\n")
    write_atomically(folder / "uncommitted.diff", git.get("diff", ""))
    write_atomically(folder / "command.txt", f"{shlex.join(provenance['command'])}\n")
    write_atomically(folder / "packages.txt", requirements_text(provenance["packages"]))
    write_json(folder / "hardware.json", provenance["hardware"])
    # last: its presence says that the others are there
    write_json(summary_file, _without_diff(provenance))


def redact_command(command_line: Sequence[str], secrets: Iterable[str] = ()) -> list[str]:
    """A command line without secrets, also those given as ``--api-key X`` or ``token=X``."""
    secrets = tuple(secrets)
    shown: list[str] = []
    follows_secret_option = False
    for argument in command_line:
        name, equals, value = argument.partition("=")
        if follows_secret_option and not argument.startswith("--"):
            shown.append(REDACTED)
        elif equals and value and SECRET_NAME.search(name.lstrip("-")):
            shown.append(f"{name}={REDACTED}")
        else:
            shown.append(redact(argument, secrets))
        follows_secret_option = (
            argument.startswith("--") and not equals and bool(SECRET_NAME.search(name.lstrip("-")))
        )
    return shown


def _without_diff(provenance: Mapping[str, Any]) -> dict[str, Any]:
    git = provenance["git"]
    kept = {name: value for name, value in git.items() if name != "diff"} if git else None
    return {**provenance, "git": kept}


def _continuation(provenance: Mapping[str, Any]) -> dict[str, Any]:
    git = provenance["git"] or {}
    machine = provenance["hardware"]
    return {
        "time": provenance["time"],
        "command": provenance["command"],
        "commit": git.get("commit"),
        "dirty": git.get("dirty"),
        "hostname": machine["hostname"],
        "python": machine["python"],
    }
