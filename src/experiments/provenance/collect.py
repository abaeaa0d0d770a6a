"""What is needed to reproduce an experiment, gathered without secrets."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..domain.redaction import REDACTED, SECRET_NAME, known_secrets, redact, redact_data
from .code import environment_modules, import_roots, program
from .git import git_state
from .hardware import hardware
from .packages import installed_packages
from .source_redaction import redact_source
from .untracked import kept_files

THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS"),
)
INFLUENTIAL_VARIABLES = re.compile(
    r"(OMP|MKL|DNNL|ONEDNN|OPENBLAS|BLIS|VECLIB|NUMEXPR|KMP|CUDA|CUBLAS|CUDNN|NVIDIA|TORCH|PYTORCH"
    r"|ATEN|MUJOCO|SDL)_\w+"
    r"|PYTHONHASHSEED|PYTHONPATH|LD_PRELOAD|LD_LIBRARY_PATH"
)
"""Environment variables that can change results or speed; only these are recorded."""
LARGEST_EXPERIMENT_FILE = 2**20


@dataclass(frozen=True)
class Origin:
    """Where an experiment comes from, besides its command line."""

    experiment_file: Path | None = None
    """The file as the user wrote it."""
    environment_modules: Sequence[str] = ()
    """Modules that were allowed to be imported."""
    torch_threads: int | None = None
    """Threads of one training process."""
    output_dir: Path | None = None
    """Where experiments lie: what is in it is no code."""


def collect_provenance(
    command_line: Sequence[str], directory: Path | None = None, *, origin: Origin | None = None
) -> Mapping[str, Any]:
    """Code, command line, packages, hardware and influential variables, without secrets.

    Args:
        command_line: as it was typed.
        directory: where the code lies; default is the working directory.
        origin: what else is known.
    """
    origin = origin or Origin()
    secrets = frozenset(known_secrets())
    git, root = _git(directory, origin, secrets)
    packages = installed_packages()
    gathered = {
        "time": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds"),
        "command": redact_command(command_line, secrets),
        "git": git,
        "program": program(root),
        "environment_modules": environment_modules(origin.environment_modules, root),
        "imports": import_roots(origin.environment_modules, root),
        "packages": {each.name: each.version for each in packages},
        "package_sources": {each.name: each.source for each in packages if each.source},
        "hardware": asdict(hardware()),
        "threads": {
            "torch_threads": origin.torch_threads,
            "environment": {name: os.environ.get(name) for name in THREAD_VARIABLES},
        },
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if INFLUENTIAL_VARIABLES.fullmatch(name)
        },
        "experiment_file": _experiment_file(origin.experiment_file, secrets),
    }
    return dict(redact_data(gathered, secrets))


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


def _git(
    directory: Path | None, origin: Origin, secrets: frozenset[str]
) -> tuple[dict[str, Any] | None, Path | None]:
    """What git knows, with the content of untracked files, and the repository's root."""
    no_code = [] if origin.output_dir is None else [origin.output_dir]
    state = git_state(directory, no_code=[*no_code, Path(sys.prefix)])
    if state is None:
        return None, None
    root = Path(state.root)
    diff = redact_source(state.diff, secrets)
    told = {
        **asdict(state),
        "diff": diff,
        "diff_redacted": diff != state.diff,
        "untracked_files": {
            name: asdict(file) for name, file in kept_files(root, state.untracked, secrets).items()
        },
    }
    return told, root


def _experiment_file(path: Path | None, secrets: frozenset[str]) -> dict[str, Any] | None:
    """Its name and its text, as it was given."""
    if path is None or not path.is_file():  # such as a pipe, which was read and is empty now
        return None
    with path.open("rb") as file:
        content = file.read(LARGEST_EXPERIMENT_FILE)
    text = content.decode(errors="replace")
    shown = redact_source(text, secrets)
    return {"name": str(path), "text": shown, "redacted": shown != text}
