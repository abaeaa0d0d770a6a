"""The report's charts, each drawn twice: as files and as data for the page."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from matplotlib.figure import Figure

from . import figures, interactive
from .content import ReportContent
from .curve_band import CurveBand
from .curve_evidence import CurveEvidence
from .curves import MAX_LINES, Source
from .looks_chart import LookPoint, look_points, looks_figure, looks_interactive
from .measures import MEASURES, Measure
from .text import metric_label, percent

YLABELS = {
    Source.EVALUATION: "mean return of the evaluation",
    Source.TRAINING: "mean return of training episodes",
}
TITLES = {Source.EVALUATION: "Evaluation", Source.TRAINING: "Training episodes"}


class Group(StrEnum):
    """Charts that stand together; where there are several, the page shows one at a time."""

    CURVES = "curves"
    LOOKS = "looks"
    SCORES = "scores"
    RESOURCES = "resources"


@dataclass(frozen=True)
class Chart:
    """A chart under its file name, with the words that go with it."""

    name: str
    title: str
    caption: str
    figure: Figure
    """The static drawing."""
    interactive: interactive.Figure
    """The same for plotly.js."""
    group: Group

    @cached_property
    def png(self) -> bytes:
        """The static drawing as a PNG file."""
        return figures.rendered(self.figure, "png")

    @cached_property
    def svg(self) -> bytes:
        """The static drawing as an SVG file."""
        return figures.rendered(self.figure, "svg")


def draw(content: ReportContent) -> tuple[Chart, ...]:
    """The charts for which there is something to draw, learning curves first."""
    return (
        *(_learning_curves(curves) for curves in content.curve_evidence),
        *_looks(content),
        *_final_returns(content),
        *(chart for measure in MEASURES for chart in _resources(content, measure)),
    )


def _learning_curves(curves: CurveEvidence) -> Chart:
    ylabel = YLABELS[curves.source]
    return Chart(
        name="learning_curves" if curves.source is Source.EVALUATION else "training_returns",
        title=TITLES[curves.source],
        caption=_curve_caption(curves),
        figure=figures.learning_curves(curves, ylabel),
        interactive=interactive.learning_curves(curves, ylabel),
        group=Group.CURVES,
    )


def _curve_caption(curves: CurveEvidence) -> str:
    told = [
        "Each point is the mean over an evaluation's episodes, played apart from training."
        if curves.source is Source.EVALUATION
        else "Each point is the mean return of recent training episodes, exploration included."
    ]
    arms = curves.arms.values()
    lines = [(len(curve.thin), len(curve.finished)) for curve in arms if curve.thin]
    if lines:
        is_cut = any(drawn < all_ for drawn, all_ in lines)
        thin = f"at most {MAX_LINES} of an arm's seeds" if is_cut else "each seed"
        told.append(f"Thick: mean over seeds; thin: {thin}.")
    if any(curve.unfinished for curve in arms):
        told.append("Dotted with a cross: a run that did not finish, left out of the mean.")
    if curves.band is not None:
        told.append(_band_caption(curves.band))
        over = curves.overtaking
        if over is not None and over.is_a_crossing:
            told.append("Diamond: the crossover, with its bootstrap interval.")
    return " ".join(told)


def _band_caption(band: CurveBand) -> str:
    drawn = "" if band.is_exact else "random "
    return (
        "Below: the difference, with a band that holds at all steps at once in "
        f"{percent(band.level)} of experiments (max-|t| over {band.relabellings:,} "
        f"{drawn}relabellings of whole curves). Where the band excludes zero, it takes the colour "
        "of the higher arm and the points are filled."
    )


def _looks(content: ReportContent) -> list[Chart]:
    points = look_points(content.plan, content.comparison.looks)
    if not points:
        return []
    minimize = content.rule.direction == "minimize"
    return [
        Chart(
            name="sequential_looks",
            title="Sequential monitoring",
            caption=_looks_caption(points),
            figure=looks_figure(points, minimize=minimize),
            interactive=looks_interactive(points, minimize=minimize),
            group=Group.LOOKS,
        )
    ]


def _looks_caption(points: list[LookPoint]) -> str:
    futility = any(point.boundary is None for point in points)
    to_come = any(point.statistic is None for point in points)
    return (
        "The signed statistic after each look; beyond a dashed boundary the look rejects. "
        "Together the boundaries spend α; they were fixed before the first run."
        + " Diamond: a look that could only stop for futility." * futility
        + " Hollow: a planned look that was not taken." * to_come
    )


def _final_returns(content: ReportContent) -> list[Chart]:
    scores = content.scores
    if not any(scores.values()):
        return []
    label = metric_label(content.comparison.metric)
    several = any(len(by_seed) > 1 for by_seed in scores.values())
    bars = "; a bar is the mean of an arm" * several
    floors = " A cross is a run that failed through its own fault and counts with the floor."
    imputed = {arm: {key.seed for key in content.imputed if key.arm == arm} for arm in scores}
    return [
        Chart(
            name="final_returns",
            title=f"{label[0].upper()}{label[1:]} by seed",
            caption=f"One dot per run{bars}.{floors * bool(content.imputed)}",
            figure=figures.final_returns(scores, imputed, label),
            interactive=interactive.final_returns(scores, imputed, label),
            group=Group.SCORES,
        )
    ]


def _resources(content: ReportContent, measure: Measure) -> list[Chart]:
    samples = measure.measured(content.resources)
    if not samples:
        return []
    some = f" At most {MAX_LINES} runs per arm are drawn." * _has_many_runs(content)
    return [
        Chart(
            name=measure.name,
            title=measure.title,
            caption=f"{measure.caption}{some}",
            figure=figures.resource_over_time(samples, measure),
            interactive=interactive.resource_over_time(samples, measure),
            group=Group.RESOURCES,
        )
    ]


def _has_many_runs(content: ReportContent) -> bool:
    return any(len(result.runs) > MAX_LINES for result in content.arms.values())
