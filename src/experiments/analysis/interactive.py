"""The report's interactive figures as plain data that plotly.js draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..domain.records import ResourceSample, RunKey
from .curves import ArmCurve, RunCurve
from .palette import INK, MUTED, RULE, arm_colour, dot_size

Figure = dict[str, Any]
"""``{"data": [...], "layout": {...}}``, as plotly.js takes it."""

MARKED_POINTS = 40
DASHES = ("solid", "dash", "dashdot", "dot")
SYMBOLS = ("circle", "square", "triangle-up", "diamond")


def learning_curves(curves: Mapping[str, ArmCurve], ylabel: str) -> Figure:
    """Mean curve of each arm, the range of its runs where there are several, and each run thin."""
    traces = [
        trace
        for index, curve in enumerate(curves.values())
        for trace in (*_range(curve, index), *_runs(curve, index), _mean(curve, index))
    ]
    return {"data": traces, "layout": _layout("training timesteps", ylabel)}


def final_returns(scores: Mapping[str, Mapping[int, float]], ylabel: str) -> Figure:
    """One dot a run, named by its seed, and a bar at the mean of each arm with several runs."""
    traces: list[dict[str, Any]] = []
    shapes = []
    for index, (arm, by_seed) in enumerate(scores.items()):
        values = list(by_seed.values())
        traces.append(_dots(arm, by_seed, index))
        if len(values) > 1:
            shapes.append(_mean_bar(sum(values) / len(values), index))
    layout = _layout("", ylabel)
    ticks = {"tickvals": list(range(len(scores))), "ticktext": list(scores)}
    layout["xaxis"] |= {**ticks, "range": [-0.6, len(scores) - 0.4], "showgrid": False}
    layout |= {"shapes": shapes, "showlegend": False, "hovermode": "closest"}
    return {"data": traces, "layout": layout}


def memory_over_time(samples: Mapping[RunKey, Sequence[ResourceSample]]) -> Figure:
    """Resident memory of each run's processes over the seconds since its first sample."""
    arms = list(dict.fromkeys(run.arm for run in samples))
    traces: list[dict[str, Any]] = []
    for run, taken in samples.items():
        index = arms.index(run.arm)
        style = {"color": arm_colour(index), "width": 1.6, "dash": DASHES[index % len(DASHES)]}
        seconds = [round(sample.time - taken[0].time, 1) for sample in taken]
        memory = [round(sample.memory_mb, 1) for sample in taken]
        first = all(run.arm != trace["legendgroup"] for trace in traces)
        traces.append(
            _line(run.arm, seconds, memory, style)
            | {"showlegend": first, "hovertemplate": f"seed {run.seed}: %{{y:,.0f}} MiB"}
        )
    layout = _layout("seconds since the run's start", "resident memory (MiB)")
    layout["yaxis"]["rangemode"] = "tozero"
    return {"data": traces, "layout": layout | {"hovermode": "closest"}}


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


def _range(curve: ArmCurve, index: int) -> list[dict[str, Any]]:
    if curve.lowest is None or curve.highest is None:
        return []
    there_and_back = [*curve.steps.tolist(), *curve.steps[::-1].tolist()]
    outline = [*curve.highest.tolist(), *curve.lowest[::-1].tolist()]
    hidden = {"color": arm_colour(index), "width": 0}
    filled = {"fill": "toself", "fillcolor": arm_colour(index), "opacity": 0.15}
    return [_quiet(_line(curve.arm, there_and_back, outline, hidden)) | filled]


def _runs(curve: ArmCurve, index: int) -> list[dict[str, Any]]:
    thin = {"color": arm_colour(index), "width": 1}
    finished = [_run(run, thin) | {"opacity": 0.4} for run in curve.thin]
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


def _dots(arm: str, by_seed: Mapping[int, float], index: int) -> dict[str, Any]:
    count = len(by_seed)
    offsets = [0.24 * (rank / (count - 1) - 0.5) if count > 1 else 0.0 for rank in range(count)]
    colour, symbol = arm_colour(index), SYMBOLS[index % len(SYMBOLS)]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": arm,
        "x": [index + offset for offset in offsets],
        "y": list(by_seed.values()),
        "text": [f"seed {seed}" for seed in by_seed],
        "hovertemplate": f"{arm}, %{{text}}: %{{y:,.4~g}}<extra></extra>",
        "marker": {"color": colour, "size": dot_size(11, count), "opacity": 0.8, "symbol": symbol},
    }


def _mean_bar(mean: float, index: int) -> dict[str, Any]:
    return {
        "type": "line",
        "x0": index - 0.24,
        "x1": index + 0.24,
        "y0": mean,
        "y1": mean,
        "line": {"color": arm_colour(index), "width": 3},
    }


def _layout(xlabel: str, ylabel: str) -> dict[str, Any]:
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
