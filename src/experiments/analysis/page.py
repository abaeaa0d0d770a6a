"""Renders the report's content as an HTML page and as Markdown; nothing in it is trusted."""

from __future__ import annotations

import base64
import html
import shlex
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..domain.costs import diagnostics_cost
from ..domain.paths import ExperimentPaths
from ..domain.records import Comparison, ExperimentStatus, RunStatus, TrainingResult, Verdict
from ..domain.redaction import redact, redact_data
from ..durability.files import json_text
from . import text
from .aggregate import over_seeds
from .charts import Chart
from .content import ReportContent
from .effect_sizes import effect_sizes
from .palette import ON_DARK, arm_colour

TEMPLATES = Path(__file__).parent / "templates"

MOST_FAILURES = 20
"""Runs that did not complete and are told one by one; the table has all of them."""
MOST_ROWS = 60
"""With more runs the table of runs scrolls in itself, and begins with the arms."""
MARKDOWN_SIGNS = r"\`*_{}[]#|~!"

BADGES = {
    Verdict.VARIANT_BETTER: ("▲", "Variant better", "good"),
    Verdict.VARIANT_WORSE: ("▼", "Variant worse", "bad"),
    Verdict.EQUIVALENT: ("≈", "Equivalent", "calm"),
    Verdict.STOPPED_FOR_FUTILITY: ("■", "Stopped for futility", "neutral"),
    Verdict.INSUFFICIENT_EVIDENCE: ("?", "Insufficient evidence", "unsure"),
    Verdict.NO_DIFFERENCE_SHOWN: ("○", "No difference shown", "neutral"),
}
"""Sign, words and tone of each verdict."""


@dataclass(frozen=True)
class IntervalDrawing:
    """Where the parts of the effect's drawing stand, in percent of its width."""

    zero: float
    low: float
    high: float
    effect: float
    margin: tuple[float, float] | None


def render_page(content: ReportContent, charts: Sequence[Chart], paths: ExperimentPaths) -> str:
    """The page as one HTML file without any outside resource."""
    from plotly.offline import get_plotlyjs

    environment = _environment(partial(_shown, secrets=content.secrets))
    return environment.get_template("index.html.j2").render(
        _words(content, paths),
        curves=[chart for chart in charts if _is_curve(chart)],
        other_charts=[chart for chart in charts if not _is_curve(chart)],
        interval=interval_drawing(content.comparison, content.rule.equivalence_margin),
        figures=embedded_json({chart.name: chart.interactive for chart in charts}),
        dark_colours=embedded_json(list(ON_DARK.items())),
        plotly=_inside_script(get_plotlyjs()) if charts else "",
    )


def render_markdown(content: ReportContent, charts: Sequence[Chart], paths: ExperimentPaths) -> str:
    """The same facts as Markdown, with links to the figures that lie beside it."""
    environment = _environment(partial(_markdown, secrets=content.secrets))
    words = _words(content, paths)
    return environment.get_template("report.md.j2").render(words, charts=charts)


def interval_drawing(comparison: Comparison, margin: float | None) -> IntervalDrawing | None:
    """How to draw the effect and its interval around zero; None without an interval."""
    if comparison.interval is None or comparison.effect is None:
        return None
    low, high = comparison.interval
    bounds = (-margin, margin) if margin is not None else (0.0, 0.0)
    least, most = min(low, *bounds), max(high, *bounds)
    padding = 0.08 * (most - least) or 1.0
    left, width = least - padding, most - least + 2 * padding

    def position(value: float) -> float:
        return round(100 * (value - left) / width, 2)

    return IntervalDrawing(
        zero=position(0.0),
        low=position(low),
        high=position(high),
        effect=position(comparison.effect),
        margin=(position(-margin), position(margin)) if margin is not None else None,
    )


def embedded_json(value: Any) -> Markup:
    """JSON that stands safely inside a script element: no ``<``, ``>``, ``&`` survives."""
    plain = json_text(value)
    for sign in "<>&\u2028\u2029":
        plain = plain.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(plain)  # noqa: S704 - every sign that could end the element is escaped


def usual_commands(content: ReportContent, paths: ExperimentPaths) -> dict[str, str]:
    """What a reader may want to run next, by purpose."""
    run = "python -m src.experiments.runner"
    where = shlex.quote(str(paths.root.parent))
    commands = {}
    if content.status is not ExperimentStatus.COMPLETED or content.unfinished:
        experiment = shlex.quote(paths.experiment_id)
        commands["Continue"] = f"{run} --experiment-id {experiment} --output-dir {where}"
    config = shlex.quote(str(paths.config))
    commands["Repeat from the start"] = f"{run} --config {config} --output-dir repeated"
    return commands


def _words(content: ReportContent, paths: ExperimentPaths) -> dict[str, Any]:
    sign, label, tone = BADGES[content.comparison.verdict]
    return {
        "content": content,
        "comparison": content.comparison,
        "badge": {"sign": sign, "label": label, "tone": tone},
        "colours": {arm: arm_colour(index) for index, arm in enumerate(content.arms)},
        "effect_sizes": effect_sizes(content.arms, content.comparison, content.rule),
        "facts": facts(content),
        "failures": dict(list(content.failures.items())[:MOST_FAILURES]),
        "more_failures": max(0, len(content.failures) - MOST_FAILURES),
        "commands": {
            purpose: redact(command, content.secrets)
            for purpose, command in (content.commands or usual_commands(content, paths)).items()
        },
        "provenance": redact_data(content.provenance, content.secrets),
        "command": redact(content.command or "", content.secrets),
        "logs": {arm: str(paths.training_log(arm)) for arm in content.arms},
        "summaries": {
            arm: over_seeds(result.runs or (result,), content.comparison.metric)
            for arm, result in content.arms.items()
        },
        "many_runs": len(content.runs) > MOST_ROWS,
        "single_seed": all(len(result.runs or (1,)) == 1 for result in content.arms.values()),
    }


def facts(content: ReportContent) -> dict[str, str]:
    """The line under the title: what was trained on what, and when."""
    runs = list(content.runs.values())
    seeds = {key.seed for key in content.runs}
    found = {
        "Environment": _distinct([run.environment_name for run in runs]),
        "Algorithm": _distinct([run.algorithm for run in runs]),
        "Seeds": ", ".join(map(str, sorted(seeds))) if len(seeds) < 9 else str(len(seeds)),
        "Status": content.status.value,
        "Started": _moment(content.created),
        "Finished": _moment(content.finished),
        "Diagnostics": diagnostics_cost(
            sum(run.diagnostics_time for run in runs), sum(run.training_time for run in runs)
        )
        or "",
    }
    return {name: value for name, value in found.items() if value}


def _distinct(names: Sequence[str]) -> str:
    return " / ".join(dict.fromkeys(names))


def _moment(moment: datetime | None) -> str:
    if moment is None:
        return ""
    in_utc = moment.astimezone(UTC) if moment.tzinfo else moment
    return f"{in_utc:%Y-%m-%d %H:%M}{' UTC' if moment.tzinfo else ''}"


def _environment(finalize: Callable[[Any], Any]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": text.number,
        "mean_sd": text.mean_with_deviation,
        "interval": text.interval_text,
        "p_value": text.p_value_text,
        "percent": text.percent,
        "duration": text.duration,
        "plural": text.plural,
        "metric": text.metric_label,
        "value": _value,
        "setting": _setting,
        "data_uri": _data_uri,
        "status": _status,
        "indented": _indented,
        "literal": Markup,
        "thousands": "{:,}".format,
        "steps_per_second": _steps_per_second,
    }
    return environment


def _shown(value: Any, secrets: Collection[str]) -> Any:
    """Plain text without secrets, its hidden signs made visible; markup of our own untouched."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return text.visible(redact(value, secrets))


def _markdown(value: Any, secrets: Collection[str]) -> Any:
    """The same on one line and with every sign that Markdown or HTML would obey taken literally."""
    shown = _shown(value, secrets)
    if not isinstance(shown, str) or isinstance(shown, Markup):
        return shown
    escaped = html.escape(" ".join(shown.split()), quote=False)
    literal = "".join(f"\\{sign}" if sign in MARKDOWN_SIGNS else sign for sign in escaped)
    return Markup(literal)  # noqa: S704 - escaped above


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)


def _setting(pointer: str) -> str:
    """A JSON pointer as a person writes it, such as ``hyperparameters.learning_rate``."""
    parts = pointer.strip("/").split("/")
    return ".".join(part.replace("~1", "/").replace("~0", "~") for part in parts)


def _data_uri(svg: bytes) -> Markup:
    encoded = base64.b64encode(svg).decode()
    return Markup(f"data:image/svg+xml;base64,{encoded}")  # noqa: S704 - base64 alone


def _status(run: TrainingResult) -> str:
    failed = not run.success and run.status is RunStatus.COMPLETED
    return RunStatus.FAILED.value if failed else run.status.value


def _steps_per_second(run: TrainingResult) -> str:
    speed = run.total_timesteps / run.training_time if run.training_time > 0 else None
    return text.ABSENT if speed is None else f"{speed:,.0f}"


def _indented(command: str) -> Markup:
    """A command as an indented block, in which Markdown leaves every sign alone."""
    lines = text.visible(command).splitlines()
    return Markup("\n".join(f"    {line}" for line in lines))  # noqa: S704 - Markdown, not HTML


def _inside_script(code: str) -> Markup:
    return Markup(code.replace("</script", "<\\/script"))  # noqa: S704 - the library's own code


def _is_curve(chart: Chart) -> bool:
    return chart.name in {"learning_curves", "training_returns"}
