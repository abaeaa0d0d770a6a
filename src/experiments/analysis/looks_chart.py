"""The sequential design as a chart: the statistic at each look against the boundaries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from .figures import STYLE, canvas
from .interactive import Figure as InteractiveFigure
from .interactive import layout
from .looks import LookPlan
from .palette import INK, MUTED, RULE, arm_colour, faint

XLABEL, YLABEL = "seeds per arm", "signed statistic z"
HEADROOM = 1.25
"""Of the largest value, what the axis shows."""


@dataclass(frozen=True)
class LookPoint:
    """A look as the chart shows it."""

    n_per_arm: int
    boundary: float | None
    """On |z|; None where the look can end for futility alone."""
    statistic: float | None = None
    """Signed; None while the look is still to come."""
    decision: str | None = None


def look_points(plan: LookPlan | None, taken: Sequence[Mapping[str, Any]]) -> list[LookPoint]:
    """Every look, taken or to come, rising; `taken` is `Comparison.looks`."""
    boundaries: dict[int, float | None] = {}
    if plan is not None:
        boundaries = dict.fromkeys(plan.points)
        boundaries |= {each.n_per_arm: each.critical_value for each in plan.looks}
    boundaries |= {each["n_per_arm"]: each["critical_value"] for each in taken}
    by_seeds = {each["n_per_arm"]: each for each in taken}
    return [
        LookPoint(
            n,
            boundaries[n],
            by_seeds[n]["statistic"] if n in by_seeds else None,
            by_seeds[n]["decision"] if n in by_seeds else None,
        )
        for n in sorted(boundaries)
    ]


def looks_figure(points: Sequence[LookPoint], *, minimize: bool) -> Figure:
    """The still drawing: boundaries, looks taken, looks for futility alone, looks to come."""
    with mpl.rc_context(STYLE):
        figure, axes = canvas(XLABEL, YLABEL, (8.0, 3.8))
        tests = [(each.n_per_arm, each.boundary) for each in points if each.boundary is not None]
        top = _top(points)
        for sign, colour, words in _sides(minimize=minimize):
            seeds, bounds = [n for n, _ in tests], [sign * bound for _, bound in tests]
            if tests:
                axes.fill_between(seeds, bounds, sign * top, color=colour, alpha=0.1, linewidth=0)
            axes.plot(seeds, bounds, "_--", color=colour, markersize=16, markeredgewidth=2)
            axes.text(
                0.99,
                0.5 + 0.45 * sign,
                words,
                color=colour,
                ha="right",
                va="center",
                transform=axes.transAxes,
                fontsize=9,
            )
        axes.axhline(0, color=RULE, linewidth=1)
        taken = [each for each in points if each.statistic is not None]
        axes.plot([p.n_per_arm for p in taken], [p.statistic or 0.0 for p in taken], color=INK)
        for point in points:
            face = INK if point.statistic is not None else "white"
            shape = "o" if point.boundary is not None else "d"
            axes.plot(
                [point.n_per_arm],
                [_height(point)],
                shape,
                color=face,
                markersize=8,
                markeredgecolor=INK if point.statistic is not None else MUTED,
            )
        axes.set_ylim(-top, top)
        axes.set_xlim(*_span(points))
        axes.set_xticks([each.n_per_arm for each in points])
        return figure


def looks_interactive(points: Sequence[LookPoint], *, minimize: bool) -> InteractiveFigure:
    """The same for plotly.js."""
    top = _top(points)
    tests = [each for each in points if each.boundary is not None]
    traces = [
        trace
        for sign, colour, _ in _sides(minimize=minimize)
        for trace in _boundary(tests, sign, colour, top)
    ]
    taken = [each for each in points if each.statistic is not None]
    to_come = [each for each in points if each.statistic is None]
    traces.append(_markers(taken, INK, hollow=False) | {"mode": "lines+markers"})
    traces.append(_markers(to_come, MUTED, hollow=True))
    shown = layout(XLABEL, YLABEL)
    shown["yaxis"] |= {"range": [-top, top], "zeroline": True, "zerolinecolor": RULE}
    ticks = [each.n_per_arm for each in points]
    shown["xaxis"] |= {"tickvals": ticks, "range": list(_span(points))}
    shown |= {"hovermode": "closest", "showlegend": False, "annotations": _notes(top, minimize)}
    return {"data": [{**trace, "showlegend": False} for trace in traces], "layout": shown}


def _sides(*, minimize: bool) -> tuple[tuple[int, str, str], ...]:
    """Sign, colour and words of both rejection regions."""
    better, worse = (arm_colour(1), "variant better"), (arm_colour(0), "variant worse")
    upper, lower = (worse, better) if minimize else (better, worse)
    return ((1, *upper), (-1, *lower))


def _top(points: Sequence[LookPoint]) -> float:
    values = [abs(value) for each in points for value in (each.boundary, each.statistic) if value]
    return HEADROOM * max([value for value in values if math.isfinite(value)], default=1.0)


def _span(points: Sequence[LookPoint]) -> tuple[float, float]:
    """What the axis of seeds shows: all looks, with some room at both ends."""
    first, last = points[0].n_per_arm, points[-1].n_per_arm
    room = 0.08 * max(last - first, 1)
    return first - room, last + room


def _height(point: LookPoint) -> float:
    return point.statistic or 0.0


def _boundary(
    tests: Sequence[LookPoint], sign: int, colour: str, top: float
) -> list[dict[str, Any]]:
    seeds = [each.n_per_arm for each in tests]
    bounds = [sign * (each.boundary or 0.0) for each in tests]
    region = {
        "type": "scatter",
        "mode": "lines",
        "x": [*seeds, *reversed(seeds)],
        "y": [*bounds, *[sign * top] * len(seeds)],
        "fill": "toself",
        "fillcolor": faint(colour, 0.12),
        "line": {"color": colour, "width": 0},
        "hoverinfo": "skip",
    }
    edge = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": seeds,
        "y": bounds,
        "line": {"color": colour, "width": 1.5, "dash": "dash"},
        "marker": {"symbol": "line-ew", "size": 18, "line": {"width": 2, "color": colour}},
        "hovertemplate": "%{x} seeds per arm: rejects beyond %{y:.2f}<extra></extra>",
    }
    return [region, edge]


def _markers(points: Sequence[LookPoint], colour: str, *, hollow: bool) -> dict[str, Any]:
    symbols = ["circle" if each.boundary is not None else "diamond" for each in points]
    told = "still to come" if hollow else "z = %{y:.2f}"
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [each.n_per_arm for each in points],
        "y": [_height(each) for each in points],
        "line": {"color": colour, "width": 1.5},
        "marker": {
            "size": 11,
            "color": colour,
            "symbol": [f"{symbol}-open" for symbol in symbols] if hollow else symbols,
        },
        "hovertemplate": f"%{{x}} seeds per arm: {told}<extra></extra>",
    }


def _notes(top: float, minimize: bool) -> list[dict[str, Any]]:
    return [
        {
            "x": 1,
            "xref": "paper",
            "xanchor": "right",
            "y": sign * top * 0.9,
            "text": words,
            "showarrow": False,
            "font": {"color": colour, "size": 12},
        }
        for sign, colour, words in _sides(minimize=minimize)
    ]
