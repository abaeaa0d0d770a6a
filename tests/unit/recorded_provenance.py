"""What was recorded of an experiment, as this Python and this machine would record it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from src.experiments.provenance import Recorded, RecordedCode, hardware, package_versions
from src.experiments.provenance.code import source_sha256

PROGRAM = Path(__file__).parents[2] / "src" / "experiments"


def recorded(**changed: Any) -> Recorded:
    """Code in a repository that does not hold the program; nothing differs from here."""
    code = RecordedCode(
        commit="ab" * 20,
        branch="research",
        repository=None,
        prefix="",
        diff=Path("absent.diff"),
        untracked=None,
        untracked_files=(),
        untracked_names=(),
        why_incomplete=(),
    )
    program = {"package": "src.experiments", "directory": None, "sha256": source_sha256(PROGRAM)}
    same = Recorded(
        code=code,
        command=("experiments", "run", "exp.json"),
        packages=package_versions(),
        hardware=asdict(hardware()),
        environment={},
        program=program,
    )
    return replace(same, **changed)
