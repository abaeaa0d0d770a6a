"""The tables of the command line, made from plain data so that a file will do as well as a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ..domain.records import RunEstimate
from . import wording

Data = Mapping[str, Any]

IMPUTED_MARK = "*"
"""Of a figure in which failed runs count."""


def table(*headings: str, right: Sequence[str] = ()) -> Table:
    """An empty table with these columns; those in `right` hold figures."""
    empty = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in headings:
        is_figure = heading in right
        is_kept_whole = is_figure or heading == headings[0]
        empty.add_column(heading, justify="right" if is_figure else "left", no_wrap=is_kept_whole)
    return empty


def row(of: Table, *cells: object, style: str = "") -> None:
    """Add a row of untrusted text."""
    of.add_row(*(Text(wording.printable(cell)) for cell in cells), style=style)


def differences_table(differences: Sequence[Data]) -> Table:
    """What differs between the arms once defaults are expanded; `Difference` records as data."""
    difference_table = table("difference", "baseline", "variant")
    for difference in differences:
        row(
            difference_table,
            str(difference.get("pointer", "")).lstrip("/") or "/",
            _side(difference, "baseline"),
            _side(difference, "variant"),
        )
    return difference_table


def estimates_table(estimates: Sequence[RunEstimate]) -> Table:
    """What each run will take."""
    figures = ("steps", "steps/s", "training", "memory", "disk", "parameters")
    estimate_table = table("run", *figures, right=figures)
    for estimate in estimates:
        row(
            estimate_table,
            estimate.run.name,
            wording.whole(estimate.planned_timesteps),
            wording.rate(estimate.steps_per_second),
            wording.duration(estimate.training_seconds),
            wording.megabytes(estimate.memory_mb),
            wording.megabytes(estimate.disk_mb),
            wording.whole(estimate.parameters),
        )
    return estimate_table


def arms_table(runs: Sequence[Data]) -> Table:
    """The arms beside each other, from the runs of `results.json` that are analysed."""
    figures = ("runs", "final return", "steps", "training", "steps/s")
    arm_table = table("arm", *figures, right=figures)
    for arm in dict.fromkeys(str(run.get("arm")) for run in runs):
        row(arm_table, *_arm_cells(arm, [run for run in runs if run.get("arm") == arm]))
    return arm_table


def spread_caption(runs: Sequence[Data]) -> str:
    """What the ± of `arms_table` is taken over, and what its mark means."""
    arms = [run.get("arm") for run in runs]
    over = "seeds"
    if all(arms.count(arm) == 1 for arm in set(arms)):
        over = "the episodes of the final evaluation; one seed per arm"
    marked = any(_is_imputed(run) for run in runs)
    note = f"; {IMPUTED_MARK} failed runs count with what a failure is worth" if marked else ""
    return f"±: standard deviation over {over}{note}"


def runs_table(runs: Sequence[Data], *, with_hashes: bool = False) -> Table:
    """Each run of `results.json`; `with_hashes` adds the start of the parameters' SHA-256."""
    figures = ("steps", "training", "final return", "final evaluation", "attempts")
    hashes = ["parameters"] if with_hashes else []
    run_table = table("run", "status", *figures, *hashes, right=figures)
    for run in runs:
        row(
            run_table,
            f"{run.get('arm')}_seed{run.get('seed')}",
            run.get("status", wording.UNKNOWN),
            wording.whole(number(run, "total_timesteps")),
            wording.duration(number(run, "training_time")),
            wording.measured(number(run, "final_return")),
            wording.spread(number(run, "final_mean_reward"), number(run, "final_std_reward")),
            run.get("attempts", wording.UNKNOWN),
            *(str(run.get("parameters_sha256") or wording.UNKNOWN)[:12] for _ in hashes),
        )
    return run_table


def makespan(durations: Sequence[float], workers: int) -> float:
    """Seconds until all runs are done, each started by the first worker that is free."""
    free_at = [0.0] * max(workers, 1)
    for duration in durations:
        first = free_at.index(min(free_at))
        free_at[first] += duration
    return max(free_at)


def number(record: Data, name: str) -> float | None:
    """A number of a record that was read from a file; None for anything else."""
    value = record.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:  # hundreds of digits
        return None


def _arm_cells(arm: str, runs: Sequence[Data]) -> list[str]:
    analysed = [run for run in runs if run.get("analysed", True)]
    done = [run for run in analysed if run.get("status") == "completed"]
    lost = [run for run in analysed if _is_imputed(run)]
    mark = f" {IMPUTED_MARK}" if lost else ""
    steps = sum(number(run, "total_timesteps") or 0 for run in analysed)
    seconds = sum(number(run, "training_time") or 0 for run in analysed)
    return [
        arm,
        f"{len(done)}/{len(analysed)}",
        wording.spread(*_mean_and_deviation(done, lost)) + mark,
        wording.whole(steps),
        wording.duration(seconds),
        wording.rate(steps / seconds if seconds else None),
    ]


def _is_imputed(run: Data) -> bool:
    return bool(run.get("analysed", True)) and number(run, "imputed") is not None


def _mean_and_deviation(
    done: Sequence[Data], lost: Sequence[Data]
) -> tuple[float | None, float | None]:
    """Of what the runs count with; of a single one the deviation over its episodes."""
    own = [number(run, "final_return") for run in done if run not in lost]
    each = [*own, *(number(run, "imputed") for run in lost)]
    returns = [value for value in each if value is not None]
    if not returns:
        return None, None
    if len(returns) == 1:
        return returns[0], None if lost else number(done[0], "final_std_reward")
    return fmean(returns), stdev(returns)


def _side(difference: Data, arm: str) -> str:
    text = wording.setting(difference.get(arm))
    return f"{text} (default)" if difference.get(f"{arm}_is_default") else text
