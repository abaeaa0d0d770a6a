"""The report's charts, each drawn twice: as files and as data for the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from matplotlib.figure import Figure

from . import figures, interactive
from .content import ReportContent
from .curves import MAX_LINES, ArmCurve, Source, arm_curves
from .text import metric_label

YLABELS = {
    Source.EVALUATION: "mean return of the evaluation",
    Source.TRAINING: "mean return of training episodes",
}
TITLES = {Source.EVALUATION: "Evaluation", Source.TRAINING: "Training episodes"}


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
    return (*_learning_curves(content), *_final_returns(content), *_memory(content))


def _learning_curves(content: ReportContent) -> list[Chart]:
    charts = []
    for source in Source:
        curves = arm_curves(content.curves.get(source, ()), content.unfinished.keys())
        if curves:
            charts.append(
                Chart(
                    name=_file_name(source),
                    title=TITLES[source],
                    caption=_caption(curves, source),
                    figure=figures.learning_curves(curves, YLABELS[source]),
                    interactive=interactive.learning_curves(curves, YLABELS[source]),
                )
            )
    return charts


def _file_name(source: Source) -> str:
    return "learning_curves" if source is Source.EVALUATION else "training_returns"


def _caption(curves: Mapping[str, ArmCurve], source: Source) -> str:
    what = (
        "Each point is the mean over an evaluation's episodes, played apart from training."
        if source is Source.EVALUATION
        else "Each point is the mean return of recent training episodes, exploration included."
    )
    several = any(curve.lowest is not None for curve in curves.values())
    stopped = any(curve.unfinished for curve in curves.values())
    lines = [(len(curve.thin), len(curve.finished)) for curve in curves.values() if curve.thin]
    thin = "each seed"
    if any(drawn < all_ for drawn, all_ in lines):
        thin = f"at most {MAX_LINES} of an arm's seeds"
    band = f" Thick: mean over seeds; thin: {thin}; shaded: lowest to highest seed." * several
    cross = " Dotted with a cross: a run that did not finish, left out of the mean." * stopped
    return what + band + cross


def _final_returns(content: ReportContent) -> list[Chart]:
    scores = content.scores
    if not any(scores.values()):
        return []
    label = metric_label(content.comparison.metric)
    several = any(len(by_seed) > 1 for by_seed in scores.values())
    bars = "; a bar is the mean of an arm" * several
    values = {arm: list(by_seed.values()) for arm, by_seed in scores.items()}
    return [
        Chart(
            name="final_returns",
            title=f"{label[0].upper()}{label[1:]} by seed",
            caption=f"One dot a run{bars}.",
            figure=figures.final_returns(values, label),
            interactive=interactive.final_returns(scores, label),
        )
    ]


def _memory(content: ReportContent) -> list[Chart]:
    samples = {run: taken for run, taken in content.resources.items() if len(taken) > 1}
    if not samples:
        return []
    some = f" At most {MAX_LINES} runs of an arm are drawn." * _has_many_runs(content)
    return [
        Chart(
            name="memory",
            title="Memory",
            caption=f"Resident memory of a run's processes, sampled while it trained.{some}",
            figure=figures.memory_over_time(samples),
            interactive=interactive.memory_over_time(samples),
        )
    ]


def _has_many_runs(content: ReportContent) -> bool:
    return any(len(result.runs) > MAX_LINES for result in content.arms.values())
