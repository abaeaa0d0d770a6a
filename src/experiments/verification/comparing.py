"""A run that was never disturbed beside the same run killed and continued: what differs first."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..domain.paths import ExperimentPaths
from ..domain.records import RunKey
from ..durability.journal import read_journal

ABOUT_ATTEMPTS = ("attempts", "resumed_from_steps", "resume")
"""What may differ in a run's result."""
ABSENT = "absent"


@dataclass(frozen=True)
class Mismatch:
    """The first thing in which the continued run differs."""

    file: str
    field: str
    undisturbed: Any
    continued: Any
    step: int | None = None

    def __str__(self) -> str:
        where = "" if self.step is None else f" at step {self.step:,}"
        return (
            f"{self.file} differs{where}: {self.field} is {self.undisturbed!r} undisturbed,"
            f" {self.continued!r} when killed and continued"
        )


@dataclass(frozen=True)
class ArmCheck:
    """What the comparison of one run came to."""

    run: RunKey
    resumed_from_steps: tuple[int, ...]
    why_inexact: str | None
    """What the run itself said of its resumption; None where it is exact."""
    mismatch: Mismatch | None
    compared: tuple[str, ...]
    parameters_sha256: str | None
    """Of the run that was not disturbed."""

    @property
    def is_exact(self) -> bool:
        """Whether nothing differs and nothing was said against it."""
        return self.reason is None

    @property
    def reason(self) -> str | None:
        """Why it is not exact."""
        if self.why_inexact is not None or self.mismatch is None:
            return self.why_inexact
        step = self.mismatch.step
        if step is not None and step <= min(self.resumed_from_steps, default=-1):
            return f"{self.mismatch}; this was before the first kill: the same training, \
repeated, is not the same even undisturbed"
        return str(self.mismatch)

    def to_dict(self) -> dict[str, Any]:
        """The check as plain data."""
        return {
            "resume": "exact" if self.is_exact else "approximate",
            "reason": self.reason,
            "resumed_from_steps": list(self.resumed_from_steps),
            "compared": list(self.compared),
            "difference": None if self.mismatch is None else asdict(self.mismatch),
            "parameters_sha256": self.parameters_sha256,
        }


def compare(undisturbed: ExperimentPaths, continued: ExperimentPaths, run: RunKey) -> ArmCheck:
    """Compare the two trainings of a run, both complete.

    Raises:
        StorageError: when a file is missing or cannot be read.
    """
    one, other = undisturbed.run(run), continued.run(run)
    result = result_of(undisturbed, run)
    journal = [read_journal(each.journal) for each in (one, other)]
    models = undisturbed.model(run, single_seed=True), continued.model(run, single_seed=True)
    first = next(
        (
            *_of_journals(*journal),
            *_of_results(result, result_of(continued, run)),
            *_of_json_files(one, other),
            *_of_models(*models),
        ).__iter__(),
        None,
    )
    return ArmCheck(
        run,
        resumed_from_steps=tuple(result_of(continued, run).get("resumed_from_steps", ())),
        why_inexact=why_inexact(other),
        mismatch=first,
        compared=(
            "parameters",
            *(f"{name} of the model" for name in _tensor_files(models[0])),
            f"{len(journal[0])} journal records",
            "the result",
            *(path.name for path in _json_files(one)),
        ),
        parameters_sha256=result.get("parameters_sha256"),
    )
