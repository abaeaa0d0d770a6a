"""The static figures of the report: matplotlib without its global state, equal bytes each time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from io import BytesIO
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ..domain.records import ResourceSample, RunKey
from .curve_evidence import CurveEvidence
from .curves import ArmCurve
from .difference_panel import draw_difference
from .measures import Measure
from .palette import INK, MUTED, RULE, arm_colour, column_offsets, dot_size

Format = Literal["png", "svg"]

MARKERS = ("o", "s", "^", "D")
LINE_STYLES = ("-", "--", "-.", ":")
MARKED_POINTS = 40
"""A curve with more points than this is drawn without markers."""

MARGINS = {"left": 1.0, "right": 0.2, "bottom": 0.6, "top": 0.25}
"""Inches around the axes, enough for any label: a measured layout costs as much as a drawing."""

STYLE: dict[Any, Any] = {
    "axes.edgecolor": RULE,
    "axes.formatter.limits": (-4, 6),
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 12,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "svg.fonttype": "path",
    "svg.hashsalt": "experiments",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}


def learning_curves(curves: CurveEvidence, ylabel: str) -> Figure:
    """Mean curve of each arm with each run thin, and below, where there is one, the difference."""
    with mpl.rc_context(STYLE):
        figure, axes = canvas("training steps", ylabel, (8.0, 4.4))
        for index, curve in enumerate(curves.arms.values()):
            _draw_arm(axes, curve, index)
        if curves.arms:
            axes.legend(frameon=False, loc="best")
        if curves.band is not None:
            draw_difference(figure, axes, curves.band, curves.overtaking)
        axes.xaxis.set_major_formatter(FuncFormatter(thousands))
        return figure


def final_returns(
    scores: Mapping[str, Mapping[int, float]], imputed: Mapping[str, Collection[int]], ylabel: str
) -> Figure:
    """One dot a run, one column an arm, and the mean of each arm with several runs.

    Scores are by seed; the seeds that are `imputed` are crosses.
    """
    with mpl.rc_context(STYLE):
        figure, axes = canvas("", ylabel, (5.2, 3.8))
        for index, (arm, by_seed) in enumerate(scores.items()):
            _draw_scores(axes, by_seed, imputed.get(arm, ()), index)
        axes.set_xlim(-0.6, max(len(scores), 1) - 0.4)
        axes.set_xticks(range(len(scores)), labels=list(scores), fontsize=11, color=INK)
        axes.grid(visible=False, axis="x")
        return figure


def resource_over_time(
    samples: Mapping[RunKey, Sequence[ResourceSample]], measure: Measure
) -> Figure:
    """One measure of each run's processes over the seconds since its first sample."""
    with mpl.rc_context(STYLE):
        figure, axes = canvas("seconds since the run's start", measure.label, (8.0, 3.6))
        arms = list(dict.fromkeys(run.arm for run in samples))
        for arm_index, arm in enumerate(arms):
            colour, _ = look(arm_index)
            runs = [run for run in samples if run.arm == arm and samples[run]]
            for position, run in enumerate(runs):
                seconds, values = measure.over_time(samples[run])
                label = arm if position == 0 else None
                style = LINE_STYLES[arm_index % len(LINE_STYLES)]
                axes.plot(seconds, values, style, color=colour, label=label, linewidth=1.2)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, loc="lower right")
        return figure


def rendered(figure: Figure, file_format: Format) -> bytes:
    """The figure as the bytes of a file, the same bytes for the same figure."""
    stream = BytesIO()
    metadata = {"Date": None} if file_format == "svg" else {"Software": None}
    with mpl.rc_context(STYLE):
        figure.savefig(stream, format=file_format, dpi=160, facecolor="white", metadata=metadata)
    return stream.getvalue()


def canvas(xlabel: str, ylabel: str, inches: tuple[float, float]) -> tuple[Figure, Axes]:
    """An empty figure of that size with one pair of axes, inside the report's style."""
    width, height = inches
    figure = Figure(figsize=inches)
    figure.subplots_adjust(
        left=MARGINS["left"] / width,
        right=1 - MARGINS["right"] / width,
        bottom=MARGINS["bottom"] / height,
        top=1 - MARGINS["top"] / height,
    )
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(visible=True)
    axes.set_axisbelow(True)
    return figure, axes


def _draw_scores(
    axes: Axes, by_seed: Mapping[int, float], imputed: Collection[int], index: int
) -> None:
    colour, marker = look(index)
    values, size = list(by_seed.values()), dot_size(8, len(by_seed))
    is_imputed = np.array([seed in imputed for seed in by_seed], bool)
    positions = np.array([index + offset for offset in column_offsets(len(values))])
    for chosen, shape in ((~is_imputed, marker), (is_imputed, "x")):
        heights = np.array(values)[chosen]
        axes.plot(positions[chosen], heights, shape, color=colour, alpha=0.75, markersize=size)
    if len(values) > 1:
        mean = float(np.mean(values))
        axes.hlines(mean, index - 0.3, index + 0.3, color=colour, linewidth=2.5)


def _draw_arm(axes: Axes, curve: ArmCurve, index: int) -> None:
    colour, marker = look(index)
    for run in curve.thin:
        axes.plot(run.steps, run.returns, color=colour, alpha=0.28, linewidth=0.8)
    for run in curve.dotted:
        axes.plot(run.steps, run.returns, color=colour, alpha=0.6, linewidth=0.9, linestyle=":")
        axes.plot(run.steps[-1:], run.returns[-1:], "x", color=colour, markersize=8)
    axes.plot(
        curve.steps,
        curve.mean,
        color=colour,
        linewidth=2.4,
        linestyle=LINE_STYLES[index % len(LINE_STYLES)],
        marker=marker if len(curve.steps) <= MARKED_POINTS else None,
        markersize=5,
        label=curve.label,
    )


def look(index: int) -> tuple[str, str]:
    """Colour and marker of an arm."""
    return arm_colour(index), MARKERS[index % len(MARKERS)]


def thousands(value: float, _position: int | None = None) -> str:
    """A tick's label with separators."""
    return f"{value:,.0f}"
