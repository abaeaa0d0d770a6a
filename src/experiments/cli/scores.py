"""The verdict on scores that any tool has written, in the words of a report."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.errors import StorageError, UsageError
from ..domain.records import TrainingResult
from ..domain.verdicts import Comparison, DecisionRule

if TYPE_CHECKING:
    from rich.table import Table

    from ..analysis.sensitivity import Sensitivity

LARGEST_FILE = 1 << 28
"""Bytes; some millions of rows."""
MOST_PAIRS = 4_000_000
"""With more pairs of runs the figures behind the verdict are left out: they look at each pair."""
LARGEST_ALPHA = 0.5


@dataclass(frozen=True)
class ScoresRequest:
    """A command line that asks for the verdict on a file."""

    path: Path
    baseline: str | None = None
    rule: Mapping[str, Any] = field(default_factory=dict)
    """What is said of the decision rule."""
    looks: tuple[int, int, int] | None = None
    """Seeds per arm at the first look, between two looks, and at the last one."""
    floor: float | None = None
    """What a failed run counts with; None where none may have failed."""
    json: bool = False


def given_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """What was said of a decision rule, checked as an experiment file's is.

    Raises:
        UsageError: naming the option.
    """
    given = {name: value for name, value in rule.items() if value is not None}
    for name in ("equivalence_margin", "minimum_effect"):
        if name in given:
            check_positive(f"--{name.replace('_', '-')}", given[name])
    if "alpha" in given:
        check_alpha(given["alpha"])
    return given


def check_alpha(alpha: float) -> None:
    """Refuse a share of false alarms that makes no sense.

    Raises:
        UsageError: naming the option.
    """
    if not 0.0 < alpha <= LARGEST_ALPHA:
        raise UsageError(
            f"--alpha must be above 0 and at most {LARGEST_ALPHA}, got {alpha:g}",
            remedy="0.05 accepts one false alarm in twenty comparisons of equal arms",
        )


def check_positive(option: str, value: float) -> None:
    """Refuse a size that is zero, negative, or none.

    Raises:
        UsageError: naming the option.
    """
    if not 0.0 < value < math.inf:
        raise UsageError(
            f"{option} must be a size above 0, got {value:g}",
            remedy="give it in units of the score, without a sign",
        )


def finite(floor: float) -> float:
    """The floor.

    Raises:
        UsageError: when it is no number to count with.
    """
    if not math.isfinite(floor):
        raise UsageError(
            f"--floor must be a finite number, got {floor:g}",
            remedy="give the score that a failed run is worth, such as a random policy's return",
        )
    return floor


def read_text(path: Path) -> str:
    """The text of a file, also of a pipe that somebody writes into.

    Raises:
        UsageError: when it is no text in UTF-8, is too large, or cannot be opened.
        StorageError: when the disk refuses.
    """
    try:
        data = _read(path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"the scores cannot be opened ({reason})",
            where=str(path),
            remedy="give the path of a CSV file with the columns arm, seed, score",
        ) from error
    except OSError as error:
        raise StorageError(
            f"the scores cannot be read ({error.strerror})",
            where=str(path),
            remedy="fix the permissions of the file",
        ) from error
    return _decoded(data, path)


def tell_verdict(request: ScoresRequest) -> int:
    """Judge the scores of a file, and print the verdict.

    Raises:
        UsageError: when the file or the rule is refused.
    """
    from ..analysis import compare
    from ..analysis.evidence import seed_order
    from ..analysis.looks import plan_looks
    from ..analysis.scores_file import as_results, parse_scores, two_arms
    from ..analysis.sensitivity import sensitivity
    from ..analysis.sequential_verdict import compare_in_looks

    has_floor = request.floor is not None
    table = parse_scores(read_text(request.path), str(request.path), failures=has_floor)
    arms = two_arms(table, request.baseline)
    rule = DecisionRule(
        **request.rule, floors={} if request.floor is None else dict.fromkeys(arms, request.floor)
    )
    results = {arm: as_results(arm, table.scores[arm]) for arm in arms}
    plan = None
    if request.looks is not None:
        plan = plan_looks(*request.looks, rule.alpha, paired=rule.paired)
        results = {arm: sorted(runs, key=seed_order) for arm, runs in results.items()}
    comparison = compare(results, rule) if plan is None else compare_in_looks(results, rule, plan)
    failed = sensitivity(results, rule, plan)
    if request.json:
        from .json_output import write_object

        write_object(
            {
                **comparison.to_dict(),
                "source": str(request.path),
                "baseline": arms[0],
                "variant": arms[1],
                "direction": rule.direction,
                "floor": request.floor,
                "sensitivity": None if failed is None else failed.to_dict(),
                "warnings": list(table.warnings),
            }
        )
    else:
        _print(results, comparison, rule, failed, table.warnings)
    return 0


def parse_looks(text: str) -> tuple[int, int, int]:
    """``5,5,30`` as three numbers.

    Raises:
        UsageError: naming the form.
    """
    try:
        first, batch, most = (int(word) for word in text.split(","))
    except ValueError:
        raise UsageError(
            f"--sequential {text[:80]!a} is not FIRST,BATCH,MAX",
            remedy="write seeds per arm, as --sequential 6,3,15",
        ) from None
    return first, batch, most


def _decoded(data: bytes, path: Path) -> str:
    if len(data) > LARGEST_FILE:
        raise UsageError(
            f"the file has more than {LARGEST_FILE:,} bytes",
            where=str(path),
            remedy="keep fewer steps of each run",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            "the file is not UTF-8 text",
            where=f"{path}, line {line}",
            remedy="save it as CSV in UTF-8",
        ) from error


def _read(path: Path) -> bytes:
    # not blocking: opening a FIFO without a writer would wait for ever
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(LARGEST_FILE + 1)


def _print(
    results: Mapping[str, list[TrainingResult]],
    comparison: Comparison,
    rule: DecisionRule,
    failed: Sensitivity | None,
    warnings: tuple[str, ...],
) -> None:
    from rich.text import Text

    from . import screen
    from .displays import warn
    from .wording import printable

    people = screen.results_console()
    people.print(_arms_table(results))
    people.print(Text("± is the standard deviation over seeds", style="dim"))
    people.print()
    people.print(Text(comparison.verdict.value.replace("_", " "), style="bold"))
    people.print(Text(printable(comparison.sentence)))
    if failed is not None:
        # where the verdict depends on them, its own sentence says so
        told = failed.counts if failed.depends else f"{failed.counts} {failed.sentence}"
        people.print(Text(printable(told)))
    if comparison.looks:
        people.print()
        people.print(_looks_table(comparison))
    elif figures := _figures(results, comparison, rule):
        people.print()
        people.print(_figures_table(figures))
    for warning in warnings:
        warn(f"warning: {warning}")


def _looks_table(comparison: Comparison) -> Table:
    from ..analysis.text import p_value_text
    from . import tables

    table = tables.table("look", "seeds per arm", "difference", "p", "rejects at", "decision")
    for number, look in enumerate(comparison.looks, start=1):
        level = look["nominal_level"]
        tables.row(
            table,
            number,
            look["n_per_arm"],
            f"{look['effect']:+.4g}",
            p_value_text(look["p_value"]),
            "never" if level is None else f"{level:.2g}",
            str(look["decision"]).replace("_", " "),
        )
    return table


def _figures(
    results: Mapping[str, list[TrainingResult]], comparison: Comparison, rule: DecisionRule
) -> dict[str, str]:
    from ..analysis import aggregate
    from ..analysis.effect_sizes import effect_sizes

    if math.prod(len(runs) for runs in results.values()) > MOST_PAIRS:
        return {}
    return effect_sizes(
        {arm: aggregate(arm, runs) for arm, runs in results.items()}, comparison, rule
    )


def _arms_table(results: Mapping[str, list[TrainingResult]]) -> Any:
    from ..analysis import over_seeds
    from ..analysis.text import mean_with_deviation
    from . import tables

    failures = {arm: sum(not run.success for run in runs) for arm, runs in results.items()}
    failed = ["failed"] if any(failures.values()) else []
    headings = ("arm", "seeds", *failed, "score")
    table = tables.table(*headings, right=headings[1:])
    for role, (arm, runs) in zip(("baseline", "variant"), results.items(), strict=True):
        name = arm if arm == role else f"{arm} ({role})"
        mean, deviation = over_seeds(runs, "final_return")
        counts = [f"{len(runs):,}", *(f"{failures[arm]:,}" for _ in failed)]
        tables.row(table, name, *counts, mean_with_deviation(mean, deviation))
    return table


def _figures_table(figures: Mapping[str, str]) -> Any:
    from . import tables

    table = tables.table("behind the verdict", "value", right=("value",))
    for name, value in figures.items():
        tables.row(table, name, value)
    return table
