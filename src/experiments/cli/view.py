"""The live view: one bar per run, one line of resources, as many as the terminal holds."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..domain.records import RunProgress, RunStatus
from ..monitoring import ResourceUsage
from . import wording
from .snapshot import Snapshot

LINES_AROUND_THE_BARS = 5
"""Heading, column names, the collapsed runs, resources, and the cursor's own line."""
FULL_WIDTH = 60
"""Columns from which there is room for the bar itself."""

STATUS_STYLE = {
    RunStatus.QUEUED: "dim",
    RunStatus.RUNNING: "",
    RunStatus.COMPLETED: "green",
    RunStatus.FAILED: "red",
    RunStatus.SKIPPED: "yellow",
    RunStatus.INTERRUPTED: "yellow",
}
_FIGURES = {"done": 5, "steps/s": 7, "return": 7, "left": 7}
"""Columns that do not shift while their figures change."""
_SHOWN_FIRST = (
    RunStatus.RUNNING,
    RunStatus.FAILED,
    RunStatus.INTERRUPTED,
    RunStatus.SKIPPED,
    RunStatus.QUEUED,
    RunStatus.COMPLETED,
)


class LiveView:
    """Draws each look at the runner over the last one; notices scroll by above."""

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
        seen = (snapshot.phase, snapshot.runs, int(snapshot.elapsed_seconds))
        if seen == self._seen and not notices:
            return
        self._seen = seen
        width, height = self._console.size
        self._live.update(render(snapshot, width=width, height=height))
        if notices:
            # what is printed through the console redraws the view below it
            self._console.print(Text("\n".join(notices)), soft_wrap=True)
        else:
            self._live.refresh()

    def close(self) -> None:
        """Wipe the view and show the cursor again."""
        self._live.stop()


def render(snapshot: Snapshot, *, width: int, height: int) -> RenderableType:
    """The whole view for a terminal of `width` columns and `height` lines."""
    shown = fitting(snapshot.runs, max(height - LINES_AROUND_THE_BARS, 1))
    parts: list[RenderableType] = [_heading(snapshot)]
    if shown:
        parts.append(_bars(shown, width))
    if hidden := _hidden(snapshot.runs, shown):
        parts.append(hidden)
    if snapshot.resources is not None:
        parts.append(_machine(snapshot.resources, snapshot.disk_free_mb))
    return Group(*parts)


def fitting(runs: Sequence[RunProgress], room: int) -> list[RunProgress]:
    """The runs that matter most, in their own order, no more than there is room for."""
    if len(runs) <= room:
        return list(runs)
    by_interest = sorted(runs, key=lambda progress: _SHOWN_FIRST.index(progress.status))
    chosen = {progress.run for progress in by_interest[:room]}
    return [progress for progress in runs if progress.run in chosen]


def _heading(snapshot: Snapshot) -> Text:
    done = snapshot.counts[RunStatus.COMPLETED]
    parts = [snapshot.phase.replace("_", " ")]
    if snapshot.runs:
        parts.append(f"{done}/{len(snapshot.runs)} runs done")
    parts.append(wording.duration(snapshot.elapsed_seconds))
    if snapshot.seconds_left is not None:
        parts.append(f"about {wording.duration(snapshot.seconds_left)} left")
    return Text(" · ".join(parts), style="bold", no_wrap=True, overflow="ellipsis")


def _bars(runs: Sequence[RunProgress], width: int) -> Table:
    with_bar = width >= FULL_WIDTH
    table = Table(box=None, expand=with_bar, padding=(0, 1, 0, 0), pad_edge=False)
    table.header_style = "dim"
    table.add_column("run", no_wrap=True, overflow="ellipsis", max_width=24 if width > 70 else 17)
    if with_bar:
        table.add_column("", ratio=1, min_width=6)
    for heading, columns in _FIGURES.items():
        table.add_column(heading, justify="right", no_wrap=True, min_width=columns)
    for progress in runs:
        bar = [_bar(progress)] if with_bar else []
        table.add_row(_name(progress), *bar, *_figures(progress))
    return table


def _bar(progress: RunProgress) -> ProgressBar:
    style = STATUS_STYLE[progress.status] or "cyan"
    return ProgressBar(
        total=100,
        completed=progress.percent,
        complete_style=style,
        finished_style=style,
        style="bright_black",
    )


def _name(progress: RunProgress) -> Text:
    attempt = f" #{progress.attempt}" if progress.attempt > 1 else ""
    name = wording.printable(progress.run.name) + attempt
    return Text(name, style=STATUS_STYLE[progress.status])


def _figures(progress: RunProgress) -> tuple[Text, Text, Text, Text]:
    left = progress.status.value
    if progress.status is RunStatus.RUNNING:
        left = wording.duration(progress.seconds_left)
    if progress.status is RunStatus.COMPLETED:
        left = "done"
    return (
        Text(f"{progress.percent:.0f} %"),
        Text(wording.rate(progress.steps_per_second)),
        Text(wording.measured(progress.returns_mean)),
        Text(left, style=STATUS_STYLE[progress.status]),
    )


def _hidden(runs: Sequence[RunProgress], shown: Sequence[RunProgress]) -> Text | None:
    seen = {progress.run for progress in shown}
    hidden = Snapshot("", tuple(each for each in runs if each.run not in seen)).counts
    if not hidden:
        return None
    counts = ", ".join(f"{hidden[status]} {status}" for status in _SHOWN_FIRST if hidden[status])
    return Text(f"and {counts}", style="dim", no_wrap=True, overflow="ellipsis")


def _machine(resources: ResourceUsage, disk_free_mb: float | None) -> Text:
    memory = f"{wording.megabytes(resources.memory_mb)} ({resources.memory_percent:.0f} %)"
    parts = [f"machine: CPU {resources.cpu_percent:.0f} %", f"memory {memory}"]
    if resources.gpu_usage is not None:
        parts.append(f"GPU {resources.gpu_usage:.0f} %")
    if disk_free_mb is not None:
        parts.append(f"disk {wording.megabytes(disk_free_mb)} free")
    return Text(" · ".join(parts), style="dim", no_wrap=True, overflow="ellipsis")
