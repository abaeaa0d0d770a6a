"""The report's interactive figures as plain data that plotly.js draws."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..domain.records import ResourceSample, RunKey
from .curve_evidence import CurveEvidence
from .curves import ArmCurve, RunCurve
from .difference_panel import GAP_SHARE, PANEL_SHARE, YLABEL, difference_traces
from .measures import Measure
from .palette import INK, MUTED, RULE, arm_colour, column_offsets, dot_size, faint

Figure = dict[str, Any]
"""``{"data": [...], "layout": {...}}``, as plotly.js takes it."""

MARKED_POINTS = 40
BEHIND = 0.35
"""Opacity of a single seed's curve."""
DASHES = ("solid", "dash", "dashdot", "dot")
SYMBOLS = ("circle", "square", "triangle-up", "diamond")


def learning_curves(curves: CurveEvidence, ylabel: str) -> Figure:
    """Mean curve of each arm with each run thin, and below, where there is one, the difference."""
    traces = [
        trace
        for index, curve in enumerate(curves.arms.values())
        for trace in (*_runs(curve, index), _mean(curve, index))
    ]
    shown = layout("training steps", ylabel)
    shown["xaxis"]["tickformat"] = ",d"
    if curves.band is not None:
        baseline, variant = curves.arms
        traces += difference_traces(curves.band, curves.overtaking, (baseline, variant))
        _make_room_below(shown)
    return {"data": traces, "layout": shown}


def final_returns(
    scores: Mapping[str, Mapping[int, float]], imputed: Mapping[str, Collection[int]], ylabel: str
) -> Figure:
    """One dot a run, named by its seed, and a bar at the mean of each arm with several runs.

    Scores are by seed; the seeds that are `imputed` are crosses.
    """
    traces: list[dict[str, Any]] = []
    shapes = []
    for index, (arm, by_seed) in enumerate(scores.items()):
        values = list(by_seed.values())
        traces.append(_dots(arm, by_seed, imputed.get(arm, ()), index))
        if len(values) > 1:
            shapes.append(_mean_bar(sum(values) / len(values), index))
    shown = layout("", ylabel)
    ticks = {"tickvals": list(range(len(scores))), "ticktext": list(scores)}
    shown["xaxis"] |= {**ticks, "range": [-0.6, len(scores) - 0.4], "showgrid": False}
    shown |= {"shapes": shapes, "showlegend": False, "hovermode": "closest"}
    return {"data": traces, "layout": shown}


def resource_over_time(
    samples: Mapping[RunKey, Sequence[ResourceSample]], measure: Measure
) -> Figure:
    """One measure of each run's processes over the seconds since its first sample."""
    arms = list(dict.fromkeys(run.arm for run in samples))
    traces: list[dict[str, Any]] = []
    for run, taken in samples.items():
        index = arms.index(run.arm)
        style = {"color": arm_colour(index), "width": 1.6, "dash": DASHES[index % len(DASHES)]}
        first = all(run.arm != trace["legendgroup"] for trace in traces)
        traces.append(
            _line(run.arm, *measure.over_time(taken), style)
            | {
                "showlegend": first,
                "hovertemplate": f"seed {run.seed}: %{{y:,.0f}} {measure.unit}",
            }
        )
    shown = layout("seconds since the run's start", measure.label)
    shown["yaxis"]["rangemode"] = "tozero"
    return {"data": traces, "layout": shown | {"hovermode": "closest"}}


def _mean(curve: ArmCurve, index: int) -> dict[str, Any]:
    style = {"color": arm_colour(index), "width": 2.5, "dash": DASHES[index % len(DASHES)]}
    trace = _line(curve.arm, curve.steps.tolist(), curve.mean.tolist(), style)
    marked = len(curve.steps) <= MARKED_POINTS
    marker = {"size": 6, "symbol": SYMBOLS[index % len(SYMBOLS)]}
    extent = {}
    if curve.lowest is not None and curve.highest is not None:
        extent["customdata"] = [
            list(pair) for pair in zip(curve.lowest.tolist(), curve.highest.tolist(), strict=True)
        ]
    seeds = " (%{customdata[0]:,.4~g} to %{customdata[1]:,.4~g})" if extent else ""
    return (
        trace
        | extent
        | {
            "name": curve.label,
            "mode": "lines+markers" if marked else "lines",
            "marker": marker,
            "hovertemplate": f"{curve.arm} %{{y:,.4~g}}{seeds}<extra></extra>",
        }
    )


def _runs(curve: ArmCurve, index: int) -> list[dict[str, Any]]:
    thin = {"color": arm_colour(index), "width": 1}
    behind = {**thin, "color": faint(arm_colour(index), BEHIND)}
    finished = [_run(run, behind) for run in curve.thin]
    stopped = [
        _run(run, {**thin, "dash": "dot"})
        | {
            "mode": "lines+markers",
            "marker": {"symbol": "x", "size": [0] * (len(run.steps) - 1) + [9], "opacity": 1},
        }
        for run in curve.dotted
    ]
    return finished + stopped


def _run(run: RunCurve, style: dict[str, Any]) -> dict[str, Any]:
    return _quiet(_line(run.run.arm, run.steps.tolist(), run.returns.tolist(), style))


def _line(arm: str, x: list[float], y: list[float], style: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": arm,
        "legendgroup": arm,
        "x": x,
        "y": y,
        "line": style,
    }


def _quiet(trace: dict[str, Any]) -> dict[str, Any]:
    return trace | {"hoverinfo": "skip", "showlegend": False}


def _dots(
    arm: str, by_seed: Mapping[int, float], imputed: Collection[int], index: int
) -> dict[str, Any]:
    colour, symbol = arm_colour(index), SYMBOLS[index % len(SYMBOLS)]
    size = dot_size(11, len(by_seed))
    failed = " failed: the floor"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": arm,
        "x": [index + offset for offset in column_offsets(len(by_seed))],
        "y": list(by_seed.values()),
        "text": [f"seed {seed}{failed * (seed in imputed)}" for seed in by_seed],
        "hovertemplate": f"{arm}, %{{text}}: %{{y:,.4~g}}<extra></extra>",
        "marker": {
            "color": colour,
            "size": size,
            "opacity": 0.8,
            "symbol": ["x-thin-open" if seed in imputed else symbol for seed in by_seed],
        },
    }


def _mean_bar(mean: float, index: int) -> dict[str, Any]:
    return {
        "type": "line",
        "x0": index - 0.3,
        "x1": index + 0.3,
        "y0": mean,
        "y1": mean,
        "line": {"color": arm_colour(index), "width": 3},
    }


def layout(xlabel: str, ylabel: str) -> dict[str, Any]:
    """The look that all figures share, with the axes' titles."""
    axis = {"gridcolor": RULE, "linecolor": RULE, "zeroline": False, "automargin": True}
    title = {"font": {"size": 13, "color": MUTED}, "standoff": 8}
    return {
        "font": {"color": MUTED, "size": 13},
        "hoverlabel": {"font": {"size": 13}},
        "hovermode": "x unified",
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "font": {"color": INK},
        },
        "margin": {"l": 56, "r": 12, "t": 34, "b": 44},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": {**axis, "title": {"text": xlabel, **title}},
        "yaxis": {**axis, "title": {"text": ylabel, **title}},
    }


def _make_room_below(shown: dict[str, Any]) -> None:
    """Give the difference axes of its own under the curves, with the steps in common."""
    shown["xaxis"] |= {"anchor": "y2"}
    shown["yaxis"] |= {"domain": [PANEL_SHARE + GAP_SHARE, 1]}
    title = {**shown["yaxis"]["title"], "text": YLABEL}
    shown["yaxis2"] = {
        **shown["yaxis"],
        "domain": [0, PANEL_SHARE],
        "title": title,
        "zeroline": True,
        "zerolinecolor": MUTED,
    }
