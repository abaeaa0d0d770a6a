"""The difference of two arms' learning curves with its simultaneous band, below the curves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .crossover_bootstrap import Overtaking
from .curve_band import CurveBand
from .palette import INK, MUTED, arm_colour, faint

Values = NDArray[np.float64]
Edges = tuple[Values, Values, Values]
"""Steps, and the lower and upper edge of an area there; each ``(points,)``."""
Trace = dict[str, Any]

MARKED_POINTS = 40
"""A difference with more points than this is drawn without markers."""
PANEL_INCHES, GAP_INCHES = 1.9, 0.3
"""Height of the panel, and what is between it and the curves."""
PANEL_SHARE, GAP_SHARE = 0.32, 0.08
"""The same of the interactive figure's height."""
YLABEL = "variant − baseline"


def draw_difference(figure: Figure, axes: Axes, band: CurveBand, over: Overtaking | None) -> None:
    """Make a figure higher, and draw the band in the room below its axes."""
    panel = _room_below(figure, axes)
    panel.set_ylabel(YLABEL)
    panel.axhline(0, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    panel.fill_between(band.steps, band.low, band.high, color=MUTED, alpha=0.22, linewidth=0)
    for (steps, low, high), colour in _apart(band):
        panel.fill_between(steps, low, high, color=colour, alpha=0.35, linewidth=0)
    panel.plot(band.steps, band.difference, color=INK, linewidth=1.6)
    if len(band.steps) <= MARKED_POINTS:
        for apart, face in ((band.apart, INK), (~band.apart, "white")):
            steps, values = band.steps[apart], band.difference[apart]
            panel.plot(steps, values, "o", color=INK, markerfacecolor=face, markersize=4.5)
    if over is not None and over.is_a_crossing:
        colour = arm_colour(int(over.leads))
        if over.interval is not None:
            panel.hlines(0, *over.interval, color=colour, linewidth=3, alpha=0.8)
        panel.plot(
            [over.step or 0.0], [0], "D", color=colour, markersize=8, markeredgecolor="white"
        )


def difference_traces(
    band: CurveBand, over: Overtaking | None, arms: tuple[str, str]
) -> list[Trace]:
    """The same for plotly.js, on the axes ``x`` and ``y2``."""
    traces = [
        _area((band.steps, band.low, band.high), MUTED, 0.25),
        *(_area(edges, colour, 0.4) for edges, colour in _apart(band)),
        _line(band),
    ]
    if over is not None and over.is_a_crossing:
        traces += _crossing(over, arms[int(over.leads)])
    return [trace | {"xaxis": "x", "yaxis": "y2", "showlegend": False} for trace in traces]


def _room_below(figure: Figure, axes: Axes) -> Axes:
    width, height = figure.get_size_inches()
    box = axes.get_position()
    taller = height + PANEL_INCHES + GAP_INCHES
    figure.set_size_inches(width, taller)
    lower = box.y0 * height / taller
    bottom = lower + (PANEL_INCHES + GAP_INCHES) / taller
    axes.set_position((box.x0, bottom, box.width, box.height * height / taller))
    panel = figure.add_axes((box.x0, lower, box.width, PANEL_INCHES / taller), sharex=axes)
    panel.set_xlabel(axes.get_xlabel())
    axes.set_xlabel("")
    axes.tick_params(labelbottom=False)
    panel.grid(visible=True)
    panel.set_axisbelow(True)
    return panel


def _apart(band: CurveBand) -> Iterator[tuple[Edges, str]]:
    """Each stretch in which the band excludes zero, and the colour of the arm that is higher."""
    for distance, colour in ((band.low, arm_colour(1)), (-band.high, arm_colour(0))):
        ends = np.flatnonzero(np.diff(np.concatenate([[0], (distance > 0).astype(int), [0]])))
        for first, after in zip(ends[::2], ends[1::2], strict=True):
            steps = np.concatenate(
                [
                    _crossing_step(band.steps, distance, first - 1, first),
                    band.steps[first:after],
                    _crossing_step(band.steps, distance, after, after - 1),
                ]
            )
            low, high = (np.interp(steps, band.steps, edge) for edge in (band.low, band.high))
            yield (steps, low, high), colour


def _crossing_step(steps: Values, distance: Values, outside: int, inside: int) -> Values:
    """Where the band's edge crosses zero between two points; empty beyond the curve's ends."""
    if not 0 <= outside < len(steps):
        return np.array([])
    share = distance[inside] / (distance[inside] - distance[outside])
    return np.array([steps[inside] + share * (steps[outside] - steps[inside])])


def _area(edges: Edges, colour: str, opacity: float) -> Trace:
    steps, low, high = edges
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [*steps.tolist(), *steps[::-1].tolist()],
        "y": [*high.tolist(), *low[::-1].tolist()],
        "line": {"color": colour, "width": 0},
        "fill": "toself",
        "fillcolor": faint(colour, opacity),
        "hoverinfo": "skip",
    }


def _line(band: CurveBand) -> Trace:
    symbols = ["circle" if apart else "circle-open" for apart in band.apart]
    marked = len(band.steps) <= MARKED_POINTS
    return {
        "type": "scatter",
        "mode": "lines+markers" if marked else "lines",
        "name": "difference",
        "x": band.steps.tolist(),
        "y": band.difference.tolist(),
        "customdata": np.column_stack([band.low, band.high]).tolist(),
        "hovertemplate": (
            "difference %{y:,.4~g} (%{customdata[0]:,.4~g} to %{customdata[1]:,.4~g})"
            "<extra></extra>"
        ),
        "line": {"color": INK, "width": 1.8},
        "marker": {"size": 7, "symbol": symbols, "color": INK},
    }


def _crossing(over: Overtaking, arm: str) -> list[Trace]:
    colour = arm_colour(int(over.leads))
    common = {"type": "scatter", "hovertemplate": f"{arm} ahead from %{{x:,.0f}}<extra></extra>"}
    marker = {"symbol": "diamond", "size": 11, "color": colour}
    crossing = common | {"mode": "markers", "x": [over.step], "y": [0], "marker": marker}
    if over.interval is None:
        return [crossing]
    line = {"color": colour, "width": 4}
    extent = {"mode": "lines", "x": list(over.interval), "y": [0, 0], "line": line}
    return [{"type": "scatter", "hoverinfo": "skip"} | extent, crossing]
