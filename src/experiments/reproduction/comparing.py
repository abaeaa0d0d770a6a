"""A run beside its reproduction: the same bits, or the first metric in which they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any

from ..domain.errors import StorageError
from ..domain.paths import ExperimentPaths, RunPaths
from ..domain.records import RunKey, RunStatus
from ..durability.journal import Record, Records
from ..verification.comparing import Mismatch, journal_mismatches, result_of

OF_THE_MACHINE = ("thread_environment", "device")
"""What a journal's first record says of the machine; it is told as a cause."""
_MODEL = "starting_model"
_METRIC, _CAUSE = "metrics.", f"{_MODEL}."
_DIGEST_DIGITS, _SHOWN_DIGITS = 64, 12


@dataclass(frozen=True)
class Departure:
    """The first thing in which a reproduction differs."""

    metric: str
    recorded: Any
    reproduced: Any
    step: int | None
    """None where only the final parameters differ."""

    @property
    def cause(self) -> str | None:
        """What led to it, where it is told by itself: another model to begin with."""
        if not self.metric.startswith(_CAUSE):
            return None
        return f"it began with another model: {_shown(self.recorded)} → {_shown(self.reproduced)}"

    def __str__(self) -> str:
        where = "" if self.step is None else f" from step {self.step:,}"
        return f"differs{where}: {self.metric} {_shown(self.recorded)} ≠ {_shown(self.reproduced)}"


@dataclass(frozen=True)
class RunCheck:
    """What the comparison of one run came to."""

    run: RunKey
    departure: Departure | None
    failure: str | None
    """Why there is nothing to compare with; None where the run was trained to its end."""
    recorded_sha256: str | None
    reproduced_sha256: str | None
    steps: int
    """Timesteps of the recorded run."""

    @property
    def is_identical(self) -> bool:
        """Whether nothing differs."""
        return self.departure is None and self.failure is None

    @property
    def verdict(self) -> str:
        """In words."""
        if self.failure is not None:
            return f"not reproduced: {self.failure}"
        return "identical" if self.departure is None else str(self.departure)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        told = asdict(self)
        del told["run"]
        return {"identical": self.is_identical, "verdict": self.verdict, **told}


def compare_run(original: ExperimentPaths, again: ExperimentPaths, run: RunKey) -> RunCheck:
    """Compare a complete run with its reproduction.

    Raises:
        StorageError: when the original cannot be read.
    """
    recorded, reproduced = result_of(original, run), _result_again(again, run)
    shas = recorded.get("parameters_sha256"), reproduced.get("parameters_sha256")
    failure = _why_not_comparable(recorded, reproduced)
    departure = None
    if failure is None:
        departure = _departure_of(original.run(run), again.run(run), shas)
    steps = int(recorded.get("total_timesteps") or 0)
    return RunCheck(run, departure, failure, *shas, steps)


def _why_not_comparable(recorded: Mapping[str, Any], reproduced: Mapping[str, Any]) -> str | None:
    if reproduced.get("status") != RunStatus.COMPLETED:
        return str(reproduced.get("error") or "it was not trained to the end")
    if not recorded.get("parameters_sha256"):
        return "no parameters_sha256 was recorded to compare with"
    return None


def _departure_of(
    original: RunPaths, again: RunPaths, shas: tuple[str | None, str | None]
) -> Departure | None:
    departure = None
    if original.journal.is_file():  # it may have been uploaded and deleted
        departure = first_departure(Records(original.journal), Records(again.journal))
    if departure is None and shas[0] != shas[1]:
        departure = Departure("parameters_sha256", *shas, step=None)
    return departure


def first_departure(recorded: Iterable[Record], reproduced: Iterable[Record]) -> Departure | None:
    """Where two journals first differ, by the model they begin with or a metric where these do."""
    found = journal_mismatches(map(_of_training, recorded), map(_of_training, reproduced))
    first = next(found, None)
    if first is None:
        return None
    same_step = takewhile(lambda each: each.step == first.step, found)
    named = (each for each in (first, *same_step) if each.field.startswith((_CAUSE, _METRIC)))
    return _departure(next(named, first))


def _departure(found: Mismatch) -> Departure:
    metric = found.field.removeprefix(_METRIC)
    return Departure(metric, found.undisturbed, found.continued, found.step)


def _of_training(record: Record) -> Record:
    if record.get("kind") != "started":
        return record
    told = {name: value for name, value in record.items() if name not in OF_THE_MACHINE}
    if isinstance(model := told.get(_MODEL), Mapping):  # by another name it is the same model
        told[_MODEL] = {name: value for name, value in model.items() if name != "name"}
    return told


def _result_again(paths: ExperimentPaths, run: RunKey) -> Mapping[str, Any]:
    try:
        return result_of(paths, run)
    except StorageError as error:
        return {"error": error.what}


def _shown(value: Any) -> str:
    """A figure in full; a digest by its first digits, a record by its kind."""
    match value:
        case None:
            return "none"
        case str() if len(value) == _DIGEST_DIGITS:
            return f"{value[:_SHOWN_DIGITS]}…"
        case Mapping():
            return f"{value.get('kind', 'one')!r}"
        case _:
            return str(value)
