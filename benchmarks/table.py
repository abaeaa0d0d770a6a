"""A table of rows as ratios to T*, the targets they are held to, and what their runs came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from measuring import Measured, Row, machine, measure, spread

IDEAL = "T*"


@dataclass(frozen=True)
class Target:
    """A row's time may be at most so many times another's."""

    row: str
    other: str
    at_most: float


def print_rows(rows: Sequence[Row], measured: Measured) -> None:
    wide = max(len(row.name) for row in rows)
    wider = max(len(row.threads) for row in rows)
    print(f"{'':{wide}}  {'threads':{wider}}  {'seconds':24}  ratio to T*")
    for row in rows:
        ratios = measured.ratios(row.key, IDEAL)
        told = (
            f"{spread(measured.seconds[row.key], 1):24}  {spread(ratios)}" if ratios else "FAILED"
        )
        print(f"{row.name:{wide}}  {row.threads:{wider}}  {told}")


def print_targets(rows: Sequence[Row], measured: Measured, targets: Sequence[Target]) -> bool:
    """Whether all targets are met; one that was not measured is not."""
    names = {IDEAL: IDEAL, **{row.key: f"{row.name}, {row.threads}" for row in rows}}
    all_met = True
    for target in targets:
        ratios = measured.ratios(target.row, target.other)
        is_met = ratios is not None and median(ratios) <= target.at_most
        told = f"{spread(ratios)}: {'met' if is_met else 'NOT met'}" if ratios else "not measured"
        first, second = (names.get(key, key) for key in (target.row, target.other))
        print(f"at most {target.at_most:.2f}: {told}: {first} / {second}")
        all_met &= is_met
    return all_met


def print_hashes(rows: Sequence[Row], measured: Measured) -> bool:
    """Print the parameters' SHA of every run; whether all rows and rounds have the same."""
    told = {row.name: measured.hashes[row.key] for row in rows if row.key in measured.hashes}
    expected = next(iter(told.values()), [{}])[0]
    for run, sha256 in expected.items():
        print(f"learning rate {run}: {sha256}")
    differing = [name for name, rounds in told.items() if any(each != expected for each in rounds)]
    for name in told:
        print(f"{name}: {'DIFFERENT' if name in differing else 'equal'}")
    return not differing


def compare(
    title: str,
    rows: Sequence[Row],
    targets: Sequence[Target],
    rounds: int,
    also: Callable[[Row, Path], Mapping[str, float]],
) -> bool:
    """Measure the rows and print their table; whether every target is met."""
    conditions = machine()
    measured = measure(rows, rounds, also)
    print(f"\n{title}; rounds: {rounds}; {conditions}")
    for part in ("import", "longest training", IDEAL):
        if part in measured.seconds:
            print(f"{part}: {spread(measured.seconds[part])} s")
    print("\n  medians, ranges in brackets")
    print_rows(rows, measured)
    for key, failure in measured.failures.items():
        print(f"\n{key} FAILED: {failure}")
    print("\n  targets")
    met = print_targets(rows, measured, targets)
    print("\n  SHA-256 of the parameters, one thread")
    return print_hashes(rows, measured) and met
