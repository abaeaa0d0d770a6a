"""The live view: each arm in sum, a bar per run, one line of resources, as the terminal holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..domain.records import RunProgress, RunStatus
from ..monitoring import ResourceUsage, Usage
from . import wording
from .grid import Line, Lines, Row, cut, fits, grid
from .snapshot import ArmSummary, Snapshot

STATUS_STYLE = {
    RunStatus.QUEUED: "dim",
    RunStatus.RUNNING: "",
    RunStatus.COMPLETED: "green",
    RunStatus.FAILED: "red",
    RunStatus.SKIPPED: "yellow",
    RunStatus.INTERRUPTED: "yellow",
    RunStatus.CANCELLED: "dim",
}
_BAR_STYLE = {**STATUS_STYLE, RunStatus.RUNNING: "cyan", RunStatus.QUEUED: "cyan"}
_SHOWN_FIRST = (
    RunStatus.RUNNING,
    RunStatus.FAILED,
    RunStatus.INTERRUPTED,
    RunStatus.SKIPPED,
    RunStatus.COMPLETED,
    RunStatus.CANCELLED,
)
_SEPARATOR = " · "

# headings are as wide as figures get, so that columns stay where they are
_RUN_HEADINGS = ("done".rjust(5), "steps/s".rjust(7), "return".rjust(7), "left".rjust(7))
_RUN_SHEDS = (1, 2, 3, 0)
_ARM_HEADINGS = ("queued", "running", "done", "failed", "mean return".rjust(17))
_ARM_SHEDS = (0, 1, 3, 2, 4)
WIDEST = 120
"""Columns after which a longer bar only parts names from figures."""


class LiveView:
    """Draws each snapshot over the last one; notices scroll by above."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(
            console=console, auto_refresh=False, transient=True, vertical_overflow="crop"
        )
        self._seen: tuple[object, ...] = ()

    def open(self) -> None:
        """Hide the cursor and take the lines below it."""
        self._live.start()

    def update(self, snapshot: Snapshot, notices: Sequence[str]) -> None:
        """Redraw once where there is something new, which a second is too."""
        size = self._console.size
        seconds = int(snapshot.elapsed_seconds)
        seen = (size, snapshot.phase, snapshot.runs, snapshot.looks, seconds)
        if seen == self._seen and not notices:
            return
        self._seen = seen
        self._live.update(render(snapshot, width=size.width, height=size.height))
        if notices:
            # what is printed through the console redraws the view below it
            self._console.print(Text("\n".join(notices)), soft_wrap=True)
        else:
            self._live.refresh()

    def close(self) -> None:
        """Wipe the view and show the cursor again."""
        self._live.stop()


def render(snapshot: Snapshot, *, width: int, height: int) -> Lines:
    """The whole view for a terminal of `width` columns and `height` lines, the cursor's included.

    Where lines are few, the heading and the runs that train stay longest.
    """
    room = max(height - 1, 1) - 1  # below the heading
    resources = _resources(snapshot, width) if room > 3 else []
    room -= len(resources)
    arms = _arm_rows(snapshot.arms)
    arms = arms if room >= len(arms) + 3 else []
    room -= len(arms)
    told = _told_in_a_line(snapshot, width) if room > 4 else []
    room -= len(told)
    shown = fitting(snapshot.runs, room - 1)
    hidden = _hidden(snapshot, shown, width) if room > 0 else []
    table = _table(arms, _run_rows(shown), width)
    return Lines([*_heading(snapshot, width), *told, *table, *hidden, *resources])


def fitting(runs: Sequence[RunProgress], lines: int) -> list[RunProgress]:
    """All runs where there are lines for them, else those with something to tell, these first.

    One line is then left to sum up the others: the queued ones, and those that are too many. Of the
    completed runs the last are taken.
    """
    if len(runs) <= lines:
        return list(runs)
    chosen: list[RunProgress] = []
    for status in _SHOWN_FIRST:
        group = [progress for progress in runs if progress.status is status]
        room = max(lines - 1 - len(chosen), 0)
        is_newest_last = status is RunStatus.COMPLETED
        chosen += group[max(0, len(group) - room) :] if is_newest_last else group[:room]
    return chosen


def _heading(snapshot: Snapshot, width: int) -> list[Line]:
    needed = len(snapshot.runs) - snapshot.counts[RunStatus.CANCELLED]
    done = f"{snapshot.counts[RunStatus.COMPLETED]}/{needed}"
    elapsed = wording.duration(snapshot.elapsed_seconds)
    left = f"{wording.duration(snapshot.seconds_left)} left"
    about = "at most" if snapshot.looks else "about"
    long = [snapshot.phase.replace("_", " "), f"{done} runs done", elapsed, f"{about} {left}"]
    short = [long[0], done, elapsed, left]
    is_known = [True, bool(snapshot.runs), True, snapshot.seconds_left is not None]
    text, fallback = (_SEPARATOR.join(compress(parts, is_known)) for parts in (long, short))
    return [_line(text if len(text) <= width else fallback, "bold", width)]


def _table(arms: Sequence[Row], runs: Sequence[Row], width: int) -> list[Line]:
    """Arms and runs in common columns where there is room, else each in its own."""
    width = min(width, WIDEST)
    widest_name = 24 if width > 70 else 17
    if arms and runs and fits([*arms, *runs], width, widest_name=widest_name):
        return grid([*arms, *runs], width, widest_name=widest_name, sheds=())
    parts = ((arms, _ARM_SHEDS), (runs, _RUN_SHEDS))
    return [
        line
        for rows, sheds in parts
        if rows
        for line in grid(rows, width, widest_name=widest_name, sheds=sheds)
    ]


def _arm_rows(arms: Sequence[ArmSummary]) -> list[Row]:
    """Nothing where each arm has one run, whose own row says it all."""
    if all(arm.runs == 1 for arm in arms):
        return []
    return [_headings("arm", _ARM_HEADINGS), *map(_arm_row, arms)]


def _arm_row(arm: ArmSummary) -> Row:
    counts = arm.counts
    done = counts.get(RunStatus.COMPLETED, 0)
    # a run that was skipped is one that failed, an interrupted one is to be trained again
    failed = counts.get(RunStatus.FAILED, 0) + counts.get(RunStatus.SKIPPED, 0)
    queued = counts.get(RunStatus.QUEUED, 0) + counts.get(RunStatus.INTERRUPTED, 0)
    return Row(
        (wording.printable(arm.arm), ""),
        (
            (str(queued), "dim" if not queued else ""),
            (str(counts.get(RunStatus.RUNNING, 0)), ""),
            (f"{done}/{arm.runs - counts.get(RunStatus.CANCELLED, 0)}", ""),
            (str(failed), "red" if failed else "dim"),
            (_return_so_far(arm), ""),
        ),
        bar=(
            (done / arm.runs, "green"),
            (failed / arm.runs, "red"),
            (arm.under_way, "cyan"),
        ),
    )


def _return_so_far(arm: ArmSummary) -> str:
    if not arm.returns:
        return wording.UNKNOWN
    return f"{wording.spread(arm.return_mean, arm.return_deviation)} ({len(arm.returns)})"


def _run_rows(runs: Sequence[RunProgress]) -> list[Row]:
    return [_headings("run", _RUN_HEADINGS), *map(_run_row, runs)] if runs else []


def _run_row(progress: RunProgress) -> Row:
    style = STATUS_STYLE[progress.status]
    figures = "dim" if progress.status is RunStatus.QUEUED else ""
    attempt = f" #{progress.attempt}" if progress.attempt > 1 else ""
    error = progress.error if progress.status is not RunStatus.RUNNING else None
    return Row(
        (wording.printable(progress.run.name) + attempt, style),
        (
            (f"{progress.percent:.0f} %", figures),
            (wording.rate(progress.steps_per_second), figures),
            (wording.measured(progress.returns_mean), figures),
            (_left(progress), style),
        ),
        bar=() if error else ((progress.percent / 100, _BAR_STYLE[progress.status]),),
        text=(wording.printable(error), style) if error else None,
    )


def _left(progress: RunProgress) -> str:
    match progress.status:
        case RunStatus.RUNNING:
            return wording.duration(progress.seconds_left)
        case RunStatus.COMPLETED:
            return "done"
        case RunStatus.INTERRUPTED:
            return "stopped"
        case _:
            return progress.status.value


def _headings(name: str, figures: Sequence[str]) -> Row:
    return Row((name, "dim"), [(heading, "dim") for heading in figures])


def _line(text: str, style: str, width: int) -> Line:
    return cut([(text, style)], width)


def _told_in_a_line(snapshot: Snapshot, width: int) -> list[Line]:
    """How many run at a time, and where a sequential design stands."""
    lines = (snapshot.admission, snapshot.looks)
    return [_line(wording.printable(line), "dim", width) for line in lines if line]


def _hidden(snapshot: Snapshot, shown: Sequence[RunProgress], width: int) -> list[Line]:
    counts = snapshot.counts.copy()
    counts.subtract(progress.status for progress in shown)
    order = (*_SHOWN_FIRST, RunStatus.QUEUED)
    parts = [f"{counts[status]:,} {status}" for status in order if counts[status]]
    text = f"{'and ' if shown else ''}{', '.join(parts)}"
    return [_line(text, "dim", width)] if parts else []


def _resources(snapshot: Snapshot, width: int) -> list[Line]:
    """As many figures as there is room for."""
    if snapshot.resources is not None:
        parts = list(_machine(snapshot.resources, snapshot.disk_free_mb))
    elif snapshot.used is not None:
        parts = list(_runs_usage(snapshot.used))
    else:
        return []
    while len(parts) > 1 and len(_SEPARATOR.join(parts)) > width:
        del parts[-1]
    return [_line(_SEPARATOR.join(parts), "dim", width)]


def _machine(resources: ResourceUsage, disk_free_mb: float | None) -> Iterator[str]:
    memory = f"{wording.megabytes(resources.memory_mb)} ({resources.memory_percent:.0f} %)"
    yield f"machine: CPU {resources.cpu_percent:.0f} %"
    yield f"memory {memory}"
    if resources.gpu_usage is not None:
        yield f"GPU {resources.gpu_usage:.0f} %"
    if disk_free_mb is not None:
        yield f"disk {wording.megabytes(disk_free_mb)} free"


def _runs_usage(used: Usage) -> Iterator[str]:
    yield f"runs: CPU {used.cores_busy or 0.0:.1f} cores"
    yield f"memory {wording.megabytes(used.memory_mb)}"
    if used.gpu_memory_mb is not None:
        yield f"GPU memory {wording.megabytes(used.gpu_memory_mb)}"
    if used.disk_usage_mb is not None:
        yield f"disk {wording.megabytes(used.disk_usage_mb)}"
    if used.disk_free_mb is not None:
        yield f"{wording.megabytes(used.disk_free_mb)} free"
