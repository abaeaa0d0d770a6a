"""Scores by arm and seed out of a table that any tool can write; pure functions on its text.

Columns ``arm``, ``seed``, ``score`` and, where a run has a curve, ``step``; ``status`` may say that
a run failed. Nothing is left out and nothing is guessed: a row that cannot be read is refused with
its line.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ..domain.errors import UsageError
from ..domain.records import TrainingResult
from ..domain.scores import FINAL_SHARE
from .evidence import RUN_FAULT
from .text import listed, percent, plural

NEEDED = ("arm", "seed", "score")
STEP, STATUS = "step", "status"
COMPLETED, FAILURES = "completed", ("failed", "skipped")
"""What a row's status may be; an empty one says nothing."""
BASELINE, VARIANT = "baseline", "variant"

_SEED = re.compile(r"\s*[+-]?[0-9]{1,40}\s*")
_LONGEST_ARM = 100
_LONGEST_SHOWN = 40
_FAILURE_REMEDY = (
    "write a finite number; give a failed run the score that a failure is worth (--floor SCORE, "
    "such as a random policy's return), because leaving it out favours the arm that fails"
)

Curve = dict[float, float]
"""A run's scores by step; a run without steps has one, at step 0."""


@dataclass(frozen=True)
class ScoreTable:
    """One score for each arm and seed."""

    scores: Mapping[str, Mapping[int, float]]
    """By arm in the order of the file, and by seed; NaN for a run that failed."""
    warnings: tuple[str, ...] = ()
    """What a reader of a verdict on them must know."""


@dataclass(frozen=True)
class _Columns:
    arm: int
    seed: int
    score: int
    step: int | None
    status: int | None
    count: int


class _RefusedCell(Exception):
    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


def parse_scores(text: str, source: str, *, failures: bool = False) -> ScoreTable:
    """The scores of a CSV text with a header; `source` names it in errors.

    Of a run with steps the score is the mean over the last 10 % of its steps, the last one
    included, as an experiment's `final_return`. With `failures` a run has failed of which a row
    says so, or has a score that is empty or not finite; else such a row is refused.

    Raises:
        UsageError: naming the line that cannot be read.
    """
    if "\0" in text:
        raise UsageError("it holds NUL characters", where=source, remedy="save it as UTF-8 CSV")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return _table(_curves((cells for cells in reader if cells), failures=failures))
    except csv.Error as error:
        what, remedy = f"not CSV ({error})", "quote a cell with quotes in it, and double these"
    except _RefusedCell as refused:
        what, remedy = refused.what, refused.remedy
    raise UsageError(what, where=f"{source}, line {max(1, reader.line_num)}", remedy=remedy)


def final_score(curve: Mapping[float, float]) -> float:
    """Mean of the scores in the last 10 % of a run's steps, the last one included."""
    first = (1.0 - FINAL_SHARE) * max(curve)
    return fmean(score for step, score in curve.items() if step >= first)


def two_arms(table: ScoreTable, baseline: str | None = None) -> tuple[str, str]:
    """Which arm is the baseline, and which the variant.

    The one that is named; else the one that is called so in the file, whatever the order of its
    rows; else the first in the file.

    Raises:
        UsageError: for other than two arms, or a name that is none of them.
    """
    arms = list(table.scores)
    names = listed([ascii(arm) for arm in arms])
    if len(arms) != 2:
        raise UsageError(
            f"two arms are compared, and there {'is' if len(arms) == 1 else 'are'} "
            f"{len(arms)}: {names}",
            remedy="keep the rows of two arms",
        )
    if baseline is None:
        called_variant = arms[1] if arms[0] == VARIANT else arms[0]
        baseline = BASELINE if BASELINE in arms else called_variant
    if baseline not in arms:
        raise UsageError(f"there is no arm {baseline!a}", remedy=f"name one of {names}")
    (variant,) = (arm for arm in arms if arm != baseline)
    return baseline, variant


def as_results(arm: str, scores: Mapping[int, float]) -> list[TrainingResult]:
    """Results of runs of which only the score is known, as the verdict takes them."""
    return [
        TrainingResult(
            success=math.isfinite(score),
            total_timesteps=0,
            training_time=0.0,
            final_mean_reward=None,
            final_std_reward=None,
            experiment_name=arm,
            algorithm="",
            environment_name="",
            seed=seed,
            arm=arm,
            final_return=score if math.isfinite(score) else None,
            fault=None if math.isfinite(score) else RUN_FAULT,
        )
        for seed, score in scores.items()
    ]


def _curves(rows: Iterator[Sequence[str]], *, failures: bool) -> dict[str, dict[int, Curve]]:
    """Each run's scores by arm and seed; the first row names the columns."""
    columns = _columns(next(rows, []))
    curves: dict[str, dict[int, Curve]] = {}
    for arm, seed, step, score in _parsed(rows, columns, failures=failures):
        curve = curves.setdefault(arm, {}).setdefault(seed, {})
        if step in curve:
            at = "" if columns.step is None else f" at step {step:g}"
            raise _RefusedCell(
                f"arm {arm!a}, seed {seed}{at} has a second row",
                "keep one row for each, or add the column step where a run has several",
            )
        curve[step] = score
    if not curves:
        raise _RefusedCell("no row follows the header", "write one row for each run")
    return curves


def _columns(header: Sequence[str]) -> _Columns:
    names = [name.strip() for name in header]
    allowed = f"the columns are {', '.join(NEEDED)}, {STEP} where runs have curves, and {STATUS}"
    if not names:
        raise _RefusedCell("it is empty", f"{allowed}; the first line names them")
    if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        raise _RefusedCell("its columns are not separated by commas", "save it with commas")
    shown = [_shown(name) for name in names]
    if repeated := [shown[at] for at, name in enumerate(names) if name in names[:at]]:
        raise _RefusedCell(f"column {repeated[0]} appears twice", allowed)
    if missing := [name for name in NEEDED if name not in names]:
        there = f"{listed(shown)} {'is' if len(shown) == 1 else 'are'} there"
        raise _RefusedCell(f"column {listed(missing)} is missing; {there}", allowed)
    extra = [_shown(name) for name in names if name not in (*NEEDED, STEP, STATUS)]
    if extra:
        raise _RefusedCell(f"column {listed(extra)} is unknown", allowed)
    step, status = (names.index(name) if name in names else None for name in (STEP, STATUS))
    arm, seed, score = (names.index(name) for name in NEEDED)
    return _Columns(arm, seed, score, step, status, len(names))


def _parsed(
    rows: Iterator[Sequence[str]], columns: _Columns, *, failures: bool
) -> Iterator[tuple[str, int, float, float]]:
    """Arm, seed, step, score of each row."""
    arms: dict[str, str] = {}
    seeds: dict[str, int] = {}
    for cells in rows:
        if len(cells) != columns.count:
            raise _RefusedCell(
                f"{plural(len(cells), 'cell')} where the header names {columns.count}",
                "give each column one cell, and write decimals with a point",
            )
        arm, seed = cells[columns.arm], cells[columns.seed]
        if arm not in arms:  # few are different, and there may be very many rows
            arms[arm] = _arm(arm)
        if seed not in seeds:
            seeds[seed] = _seed(seed)
        step = 0.0 if columns.step is None else _step(cells[columns.step])
        status = COMPLETED if columns.status is None else cells[columns.status].strip().lower()
        yield arms[arm], seeds[seed], step, _score(cells[columns.score], status, failures=failures)


def _arm(cell: str) -> str:
    arm = cell.strip()
    if not arm or len(arm) > _LONGEST_ARM or not arm.isprintable():
        raise _RefusedCell(
            f"arm {_shown(cell)} is not a usable name",
            f"use 1 to {_LONGEST_ARM} printable characters",
        )
    return arm


def _seed(cell: str) -> int:
    if not _SEED.fullmatch(cell):
        raise _RefusedCell(f"seed {_shown(cell)} is not a whole number", "write it as 42")
    return int(cell)


def _step(cell: str) -> float:
    step = _number(cell)
    if step is None or not 0 <= step < math.inf:
        raise _RefusedCell(
            f"step {_shown(cell)} is not a number of training steps", "write it as 10000"
        )
    return step


def _score(cell: str, status: str, *, failures: bool) -> float:
    """The score; NaN for a run that failed."""
    score = math.nan if not cell.strip() else _number(cell)
    if status not in ("", COMPLETED, *FAILURES):
        known = f"write {COMPLETED} or {listed(FAILURES, ' or ')}, or leave it empty"
        raise _RefusedCell(f"status {_shown(status)} is unknown", known)
    if score is None:
        raise _RefusedCell(f"score {_shown(cell)} is not a number", _FAILURE_REMEDY)
    if status in FAILURES:
        score = math.nan
    if math.isfinite(score):
        return score
    if not failures:
        told = f"score {_shown(cell)} is not finite" if cell.strip() else "score is missing"
        what = f"the run's status is {status}" if status in FAILURES else told
        raise _RefusedCell(what, _FAILURE_REMEDY)
    return math.nan


def _number(cell: str) -> float | None:
    """The number as programs write it; Python's own ``1_000`` is none."""
    try:
        return float(cell) if cell.isascii() and "_" not in cell else None
    except ValueError:
        return None


def _shown(cell: str) -> str:
    return ascii(cell if len(cell) <= _LONGEST_SHOWN else f"{cell[:_LONGEST_SHOWN]}…")


def _table(curves: Mapping[str, Mapping[int, Curve]]) -> ScoreTable:
    scores = {
        arm: {seed: _run_score(curve) for seed, curve in by_seed.items()}
        for arm, by_seed in curves.items()
    }
    warnings = (*_ends_early(curves), *_unequal_seeds(scores))
    return ScoreTable(scores, warnings)


def _run_score(curve: Curve) -> float:
    """The final score; NaN where the run has failed at any step."""
    has_failed = any(math.isnan(score) for score in curve.values())
    return math.nan if has_failed else final_score(curve)


def _ends_early(curves: Mapping[str, Mapping[int, Curve]]) -> Iterator[str]:
    """A curve that is cut off would count as if it were whole."""
    last = {
        (arm, seed): max(curve)
        for arm, runs in curves.items()
        for seed, curve in runs.items()
        if not math.isnan(_run_score(curve))
    }
    longest = max(last.values(), default=0.0)
    cut = {run: step for run, step in last.items() if step < (1.0 - FINAL_SHARE) * longest}
    if cut:
        names = listed([f"{arm} seed {seed} at {step:g}" for (arm, seed), step in cut.items()])
        yield (
            f"{plural(len(cut), 'run')} of {len(last)} end before the last {percent(FINAL_SHARE)} "
            f"of the longest one's {longest:g} steps, and are scored by the end of what is there: "
            f"{names}. A run that failed must count as failed: give it the score that a failure "
            "is worth"
        )


def _unequal_seeds(scores: Mapping[str, Mapping[int, float]]) -> Iterator[str]:
    """Seeds that one arm lacks may be runs that failed and were left out."""
    if len(scores) != 2:
        return
    (first, ours), (second, theirs) = scores.items()
    for arm, own, other in ((first, ours, theirs), (second, theirs, ours)):
        lacking = sorted(other.keys() - own.keys())
        if lacking and own.keys() & other.keys():
            seeds = "seed" if len(lacking) == 1 else "seeds"
            yield (
                f"{arm} has no score of {seeds} {listed([str(seed) for seed in lacking])}, which "
                "the other arm has. Runs that failed must not be left out: give them the score "
                "that a failure is worth"
            )
