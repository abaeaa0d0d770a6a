"""Renders the report's content as an HTML page and as Markdown; nothing in it is trusted."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ..domain.costs import diagnostics_cost
from ..domain.paths import ExperimentPaths
from ..domain.records import ExperimentStatus
from ..domain.redaction import redact, redact_data
from ..domain.verdicts import Comparison, Verdict
from . import dialogues, looks_table
from .charts import Chart, Group
from .content import ReportContent
from .curve_words import band_sentence, crossover_sentence, lost_sentence
from .effect_sizes import effect_sizes
from .key_figures import interval_level, key_figures
from .outcomes import SHOWN_STATUSES, outcomes, spent_run_text, spent_text, was_begun
from .palette import ON_DARK, arm_colour
from .rendering import as_markdown, embedded_json, environment, inside_script, shown
from .secondary import SecondaryMetric, correction_note, secondary_metrics
from .sensitivity import Sensitivity, sensitivity

MOST_FAILURES = 20
"""Runs that did not complete and are told one by one; the table has all of them."""
MOST_ROWS = 60
"""With more runs the table of runs scrolls in itself, and begins with the arms."""
MOST_UNUSED = 10
"""Runs that were not analysed and are told one by one."""

TOLD_PACKAGES = ("torch", "stable_baselines3", "gymnasium", "numpy")
"""Whose versions are told first."""

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

    template = environment(shown).get_template("index.html.j2")
    return template.render(
        _words(content, paths),
        groups={group.value: [c for c in charts if c.group is group] for group in Group},
        interval=interval_drawing(content.comparison, content.rule.equivalence_margin),
        figures=embedded_json({chart.name: chart.interactive for chart in charts}),
        dark_colours=embedded_json(list(ON_DARK.items())),
        plotly=inside_script(get_plotlyjs()) if charts else "",
    )


def render_markdown(content: ReportContent, charts: Sequence[Chart], paths: ExperimentPaths) -> str:
    """The same facts as Markdown, with links to the figures that lie beside it."""
    template = environment(as_markdown).get_template("report.md.j2")
    return template.render(_words(content, paths), charts=charts)


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


def usual_commands(content: ReportContent, paths: ExperimentPaths) -> dict[str, str]:
    """What a reader may want to run next, by purpose."""
    run = "python -m src.experiments.runner"
    where = shlex.quote(str(paths.root.parent))
    experiment = shlex.quote(paths.experiment_id)
    commands = {}
    if content.status is not ExperimentStatus.COMPLETED or content.unfinished:
        commands["Continue"] = f"{run} --experiment-id {experiment} --output-dir {where}"
    commands["Reproduce it, and compare every run bit by bit"] = (
        f"python -m src.experiments reproduce {experiment} --output-dir {where}"
    )
    config = shlex.quote(str(paths.config))
    commands["Repeat from the start"] = f"{run} --config {config} --output-dir repeated"
    return commands


def _words(content: ReportContent, paths: ExperimentPaths) -> dict[str, Any]:
    sign, label, tone = BADGES[content.comparison.verdict]
    return {
        "content": content,
        "comparison": content.comparison,
        "badge": {"sign": sign, "label": label, "tone": tone},
        "colours": {
            arm: (arm_colour(index), ON_DARK[arm_colour(index)])
            for index, arm in enumerate(content.arms)
        },
        "effect_sizes": effect_sizes(content.arms, content.comparison, content.rule),
        "facts": facts(content),
        "failures": dict(list(content.failures.items())[:MOST_FAILURES]),
        "more_failures": max(0, len(content.failures) - MOST_FAILURES),
        "commands": {
            purpose: redact(command, content.secrets)
            for purpose, command in (content.commands or usual_commands(content, paths)).items()
        },
        "dialogues": dialogues.as_shown(content.dialogues, content.secrets),
        "provenance": redact_data(_provenance(content), content.secrets),
        "origin": redact_data(origin(content.provenance), content.secrets),
        "command": redact(content.command or "", content.secrets),
        "logs": {arm: str(paths.training_log(arm)) for arm in content.arms},
        "summaries": _means(content),
        "floored": {a: {key.seed for key in content.imputed if key.arm == a} for a in content.arms},
        "many_runs": len(content.runs) > MOST_ROWS,
        "single_seed": all(len(result.runs or (1,)) == 1 for result in content.arms.values()),
        "config_file": str(paths.config),
        **_evidence(content),
        **_outcomes(content),
    }


def _evidence(content: ReportContent) -> dict[str, Any]:
    """What stands beside the verdict: key figures, looks, and what the curves say."""
    curves = content.curve_evidence
    return {
        "key_figures": key_figures(content),
        "interval_level": interval_level(content),
        "looks_columns": looks_table.COLUMNS,
        "abort_columns": looks_table.ABORT_COLUMNS,
        "abort_rows": looks_table.abort_rows(content.abort_looks),
        "looks_rows": looks_table.looks_rows(content.plan, content.comparison.looks),
        "findings": _findings(content),
        "secondary": _secondary(content),
        "secondary_note": correction_note(content.comparison.looks),
        "milestones": curves[0].milestones if curves else (),
        "begins_untrained": bool(curves) and curves[0].begins_untrained,
    }


def _secondary(content: ReportContent) -> Sequence[SecondaryMetric]:
    """The other metrics; not of many runs, whose tests take seconds."""
    if len(content.arms) != 2 or len(content.runs) > MOST_ROWS:
        return ()
    runs = {arm: result.runs or (result,) for arm, result in content.arms.items()}
    return [each for each in secondary_metrics(runs, content.rule) if each.effect is not None]


def _findings(content: ReportContent) -> list[str]:
    """What the curves say, in sentences."""
    if not content.curve_evidence:
        return []
    curves = content.curve_evidence[0]
    told = (band_sentence(curves, content.rule), crossover_sentence(curves))
    found = [sentence for sentence in told if sentence is not None]
    warning = lost_sentence(content.lost) if found else None
    return found if warning is None else [*found, warning]


def _outcomes(content: ReportContent) -> dict[str, Any]:
    """What became of the runs, by arm, and of those that were not analysed."""
    by_arm = {
        arm: outcomes(run for key, run in content.runs.items() if key.arm == arm)
        for arm in content.arms
    }
    unused = list(content.unused.values())
    begun = [run for run in unused if was_begun(run)]
    return {
        "outcomes": by_arm,
        "statuses": [s for s in SHOWN_STATUSES if any(o.by_status.get(s) for o in by_arm.values())],
        "sensitivity": _sensitivity(content),
        "unused_sentence": spent_text(unused) if unused else None,
        "unused": [spent_run_text(run, content.comparison.metric) for run in begun[:MOST_UNUSED]],
        "more_unused": max(0, len(begun) - MOST_UNUSED),
    }


def _sensitivity(content: ReportContent) -> Sensitivity | None:
    """How far the verdict hangs on failed runs; None where none failed through its own fault."""
    if len(content.arms) != 2 or not (content.lost or content.imputed):
        # it judges anew before it looks for failures, which takes half a second for many runs
        return None
    runs = {arm: result.runs or (result,) for arm, result in content.arms.items()}
    found = sensitivity(runs, content.rule, content.plan)
    if found is not None and content.comparison.verdict is Verdict.STOPPED_FOR_FUTILITY:
        # it does not rest on the runs' scores: what failed ones are worth could not change it
        return replace(found, sentence="")
    return found


def _means(content: ReportContent) -> dict[str, tuple[float | None, float | None]]:
    """Mean and standard deviation over seeds of what the runs count with."""
    return {
        arm: (
            statistics.fmean(by_seed.values()) if by_seed else None,
            statistics.stdev(by_seed.values()) if len(by_seed) > 1 else None,
        )
        for arm, by_seed in content.scores.items()
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


def origin(provenance: Mapping[str, Any]) -> dict[str, str]:
    """The facts of a provenance that a reader asks for first; those that are known."""
    git, hardware, packages = (
        dict(found) if isinstance(found := provenance.get(name), Mapping) else {}
        for name in ("git", "hardware", "packages")
    )
    changed = " with uncommitted changes" if git.get("dirty") else ""
    cores = hardware.get("cores_usable")
    told = {
        "Commit": f"{str(git['commit'])[:12]}{changed}" if git.get("commit") else "",
        "Branch": git.get("branch"),
        "Python": hardware.get("python"),
        **{name: packages.get(name) for name in TOLD_PACKAGES},
        "Processor": hardware.get("cpu_model"),
        "Usable cores": "" if cores is None else str(cores),
        "GPU": ", ".join(str(gpu) for gpu in hardware.get("gpus") or ()),
        "System": hardware.get("os"),
    }
    return {name: str(value) for name, value in told.items() if value}


def _provenance(content: ReportContent) -> Mapping[str, Any]:
    """All of it, but for the command line where that is told apart."""
    left_out = {"command"} if content.command else set()
    return {name: value for name, value in content.provenance.items() if name not in left_out}


def _distinct(names: Sequence[str]) -> str:
    return " / ".join(dict.fromkeys(names))


def _moment(moment: datetime | None) -> str:
    if moment is None:
        return ""
    in_utc = moment.astimezone(UTC) if moment.tzinfo else moment
    return f"{in_utc:%Y-%m-%d %H:%M}{' UTC' if moment.tzinfo else ''}"
