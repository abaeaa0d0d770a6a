"""Writes the report: a page that opens offline, the same in Markdown, and the figures as files."""

from __future__ import annotations

from pathlib import Path

from ..domain.paths import ExperimentPaths
from ..domain.storage_policy import StoragePolicy
from ..durability.files import write_atomically
from .content import ReportContent

__all__ = ["ReportContent", "write_bitmaps", "write_page"]

MARKDOWN_NAME = "report.md"


def write_bitmaps(paths: ExperimentPaths, content: ReportContent, policy: StoragePolicy) -> None:
    """Write the figures as PNG files: half of the work, which needs nothing of the other half.

    Raises:
        StorageError: when the disk refuses.
    """
    # matplotlib, jinja2 and plotly are loaded only by who writes a report
    from .charts import draw

    if policy.should_make(figure=True):
        for chart in draw(content):
            write_atomically(paths.report / f"{chart.name}.png", chart.png)


def write_page(paths: ExperimentPaths, content: ReportContent, policy: StoragePolicy) -> Path:
    """Write the page, the same in Markdown, and the figures as SVG files; return the page's path.

    Where the policy keeps figures off the disk, the page still holds its own.

    Raises:
        StorageError: when the disk refuses.
    """
    from .charts import draw
    from .page import render_markdown, render_page

    charts = draw(content)
    keep_figures = policy.should_save_locally(figure=True)
    if keep_figures:
        for chart in charts:
            write_atomically(paths.report / f"{chart.name}.svg", chart.svg)
    markdown = render_markdown(content, charts if keep_figures else (), paths)
    write_atomically(paths.report / MARKDOWN_NAME, markdown)
    write_atomically(paths.report_page, render_page(content, charts, paths))
    return paths.report_page
