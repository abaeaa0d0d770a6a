"""A run that was never disturbed beside the same run killed and continued: what differs first."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from ..domain.errors import StorageError
from ..domain.paths import ExperimentPaths, RunPaths
from ..domain.records import RunKey
from ..durability.files import read_json
from ..durability.journal import Record, Records, without_wall_clock
from ..execution.attempts import read_start

MAY_DIFFER = ("attempts", "resumed_from_steps", "resume")
"""What may differ in a run's result."""
ABSENT = "absent"
NOT_REPRODUCIBLE = "that is before the first kill: this training is never the same twice"


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
            return f"{self.mismatch}; {NOT_REPRODUCIBLE}"
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
    results = result_of(undisturbed, run), result_of(continued, run)
    journals = Records(one.journal), Records(other.journal)
    models = undisturbed.model(run, single_seed=True), continued.model(run, single_seed=True)
    found = chain(
        journal_mismatches(*journals),
        _result_mismatches(*results),
        _file_mismatches(one, other),
        _model_mismatches(*models),
    )
    parts = (*_json_files(one), *_tensor_files(models[0]))
    return ArmCheck(
        run,
        resumed_from_steps=tuple(results[1].get("resumed_from_steps", ())),
        why_inexact=why_inexact(other),
        mismatch=next(found, None),
        compared=(f"{sum(1 for _ in journals[0])} journal records", "result", *parts),
        parameters_sha256=results[0].get("parameters_sha256"),
    )


def result_of(paths: ExperimentPaths, run: RunKey) -> dict[str, Any]:
    """A run in `results.json`.

    Raises:
        StorageError: when it is not there.
    """
    for result in read_json(paths.results)["runs"]:
        if (result["arm"], result["seed"]) == (run.arm, run.seed):
            return dict(result)
    raise StorageError(f"{run.name} is missing", where=str(paths.results))


def why_inexact(run: RunPaths) -> str | None:
    """What the attempts of a run said against their going on; None where all was exact."""
    starts = (read_start(run.attempt(number)) for number in run.attempts())
    reasons = (start.why_inexact for start in starts if start is not None)
    return next((reason for reason in reasons if reason is not None), None)


def journal_mismatches(ones: Iterable[Record], others: Iterable[Record]) -> Iterator[Mismatch]:
    """Where two journals differ, wall-clock fields left out, from their beginning on."""
    for one, other in zip_longest(ones, others):
        step = (one or other or {}).get("step")
        ours, theirs = (each and without_wall_clock(each) for each in (one, other))
        for field, *both in differences(ours, theirs):
            yield Mismatch("journal.jsonl", field or "a record", both[0], both[1], step)


def differences(one: Any, other: Any, field: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The leaves in which two pieces of plain data differ; NaN is equal to NaN."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in dict.fromkeys([*one, *other]):
            both = one.get(name, ABSENT), other.get(name, ABSENT)
            yield from differences(*both, f"{field}.{name}" if field else str(name))
    elif isinstance(one, list) and isinstance(other, list):
        for index, both in enumerate(zip_longest(one, other, fillvalue=ABSENT)):
            yield from differences(*both, f"{field}[{index}]")
    elif repr(one) != repr(other):
        yield field, one, other


def _result_mismatches(one: Record, other: Record) -> Iterator[Mismatch]:
    ours, theirs = (
        {name: value for name, value in without_wall_clock(each).items() if name not in MAY_DIFFER}
        for each in (one, other)
    )
    for found in differences(ours, theirs):
        yield Mismatch("results.json", *found)


def _file_mismatches(one: RunPaths, other: RunPaths) -> Iterator[Mismatch]:
    ours, theirs = _json_files(one), _json_files(other)
    for name in dict.fromkeys([*ours, *theirs]):
        first, second = (read_json(each[name]) if name in each else None for each in (ours, theirs))
        for field, *both in differences(first, second):
            yield Mismatch(name, field or "the file", *both)


def _json_files(run: RunPaths) -> dict[str, Path]:
    """What the last attempt left besides the model: the final episodes, normalisation."""
    attempt = run.attempt(max(run.attempts(), default=1))
    files = (attempt.predictions, attempt.normalization)
    return {path.name: path for path in files if path.is_file()}


def _model_mismatches(one: Path, other: Path) -> Iterator[Mismatch]:
    ours, theirs = _tensor_files(one), _tensor_files(other)
    for name in dict.fromkeys([*ours, *theirs]):
        first, second = ours.get(name), theirs.get(name)
        if first == second:
            continue
        from ..training.sb3.saved_tensors import first_difference  # loads the learning library

        if first is None or second is None:
            field: str | None = "the file"
        else:
            field = first_difference(first, second)
        if field is not None:
            yield Mismatch(f"model: {name}", field, "one value", "another")


def _tensor_files(model: Path) -> dict[str, bytes]:
    """Parameters, optimisers and other variables of a saved model, still packed."""
    try:
        with zipfile.ZipFile(model) as archive:
            return {
                name: archive.read(name) for name in archive.namelist() if name.endswith(".pth")
            }
    except (OSError, zipfile.BadZipFile) as error:
        raise StorageError(f"the model cannot be read ({error})", where=str(model)) from error
