"""Experiments beside each other, for a person: one column each, as many as the width holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from ..analysis import text
from ..analysis.crossover import MAXIMIZE, Crossover, Lead
from ..analysis.overfitting import RULE
from ..analysis.secondary import correction_note
from . import wording
from .across import Across, Hint, Side
from .across_json import no_verdict
from .compared import ArmSoFar, Compared, Score, secondary_of
from .stored import ARMS, Data
from .tables import IMPUTED_MARK, row, table
from .wording import printable

FIGURE_WIDTH = 14
"""What a mean with its standard deviation takes."""
SETTING_WIDTH = 10
"""What a setting takes at least; a longer one is wrapped."""
GAP = 2

Section = tuple[str, Sequence[tuple[str, Sequence[str]]]]
"""A heading and rows under it: a label and a cell of each column."""

ARM_FIGURES: dict[str, Callable[[ArmSoFar], str]] = {
    "final return": lambda arm: _score(arm.scores["final_return"]),
    "final evaluation": lambda arm: _score(arm.scores["final_mean_reward"]),
    "auc": lambda arm: _score(arm.scores["auc"]),
    "steps": lambda arm: wording.whole(arm.total_timesteps),
    "training": lambda arm: wording.duration(arm.training_time if arm.runs_completed else None),
    "seeds": lambda arm: f"{arm.runs_completed}/{arm.runs_planned}",
    "failed": lambda arm: str(arm.runs_failed),
}


def print_across(screen: Console, found: Across) -> None:
    """Everything, from what is compared to what may be wrong with it."""
    for number, each in enumerate(found.experiments, start=1):
        _say(screen, f"[{number}] {printable(each.experiment_id)}", style="bold")
        _say(screen, _facts(each), indent=4)
    for warning in found.warnings:
        _say(screen, f"warning: {printable(warning)}", style="yellow")
    for note in found.notes:
        _say(screen, f"note: {note}", style="dim")
    screen.print()
    if len(found.experiments) == 1:
        _print_arms(screen, found.experiments[0])
    else:
        _print_experiments(screen, found)
    _print_verdicts(screen, found.experiments)
    if len(found.experiments) == 1:
        _print_secondary(screen, found.experiments[0])
    _print_crossings(screen, found)
    for hint in found.hints:
        _say(screen, _hint(hint, found), style="yellow")


def _print_arms(screen: Console, experiment: Compared) -> None:
    """A column for each of a single experiment's arms."""
    settings = [
        (printable(told.get("pointer")).lstrip("/"), [_side_of(told, arm) for arm in ARMS])
        for told in experiment.stored.differences
    ]
    _print_columns(screen, "difference", ARMS, [("", settings)], nothing="the arms do not differ")
    figures = [
        (name, [tell(experiment.arms[arm]) for arm in ARMS]) for name, tell in ARM_FIGURES.items()
    ]
    _print_columns(screen, "result", ARMS, [("", figures)], are_figures=True)
    _say(screen, _spread_caption([experiment]), style="dim")
    screen.print()


def _print_experiments(screen: Console, found: Across) -> None:
    """A column for each experiment, the same arms beside each other."""
    names = [f"[{number}]" for number in range(1, len(found.experiments) + 1)]
    nothing = "the experiments do not differ in any setting"
    _print_columns(screen, "difference", names, _setting_sections(found), nothing=nothing)
    sections = [
        (
            arm,
            [
                (name, [tell(each.arms[arm]) for each in found.experiments])
                for name, tell in ARM_FIGURES.items()
            ],
        )
        for arm in ARMS
    ]
    _print_columns(screen, "result", names, sections, are_figures=True)
    _say(screen, _spread_caption(found.experiments), style="dim")
    screen.print()


def _setting_sections(found: Across) -> list[Section]:
    """What differs in both arms alike is told once."""
    by_arm: dict[str, dict[str, list[str]]] = {}
    for setting in found.settings:
        section = setting.arm or "experiment"
        pointer = setting.pointer.removeprefix(f"/{setting.arm}_config" if setting.arm else "")
        cells = [
            _setting(value, is_default=is_default)
            for value, is_default in zip(setting.values, setting.are_defaults, strict=True)
        ]
        by_arm.setdefault(section, {})[pointer.lstrip("/")] = cells
    baseline, variant = (by_arm.get(arm, {}) for arm in ARMS)
    both = {name: cells for name, cells in baseline.items() if variant.get(name) == cells}
    sections = {
        "both arms": both,
        **{arm: {n: c for n, c in by_arm.get(arm, {}).items() if n not in both} for arm in ARMS},
        "experiment": by_arm.get("experiment", {}),
    }
    return [(name, list(rows.items())) for name, rows in sections.items() if rows]


def _print_columns(
    screen: Console,
    heading: str,
    columns: Sequence[str],
    sections: Sequence[Section],
    *,
    nothing: str = "",
    are_figures: bool = False,
) -> None:
    """One table, or several where the columns do not fit side by side."""
    if not any(rows for _, rows in sections):
        _say(screen, nothing)
        screen.print()
        return
    labels = max(cell_len(label) for _, rows in sections for label, _ in rows) + GAP
    narrowest = FIGURE_WIDTH if are_figures else SETTING_WIDTH
    fitting = max(2, (screen.width - labels) // (narrowest + GAP))
    for start in range(0, len(columns), fitting):
        part = slice(start, start + fitting)
        chunk = table(heading, *columns[part], right=columns[part] if are_figures else ())
        for name, rows in sections:
            if name:
                row(chunk, name, *("" for _ in columns[part]), style="bold")
            for label, cells in rows:
                row(chunk, f"  {label}" if name else label, *cells[part])
        for column in chunk.columns[1:]:
            column.overflow = "fold"  # what differs is often the end of a long value
        screen.print(chunk)
        screen.print()


def _print_verdicts(screen: Console, experiments: Sequence[Compared]) -> None:
    for number, each in enumerate(experiments, start=1):
        if told := each.comparison:
            verdict = printable(told.get("verdict")).replace("_", " ")
            _say(screen, f"[{number}] {verdict}", style="bold")
            _say(screen, printable(told.get("sentence") or ""), indent=4)
        else:
            _say(screen, f"[{number}] {no_verdict(each)}", style="bold")
    screen.print()


def _print_secondary(screen: Console, experiment: Compared) -> None:
    """What the verdict does not rest on."""
    metrics = secondary_of(experiment)
    if not any(metric.effect is not None for metric in metrics):
        return
    headings = ("secondary metric", "difference", "interval", "p, Holm")
    secondary = table(*headings, right=headings[1:])
    for metric in metrics:
        row(
            secondary,
            text.metric_label(metric.metric),
            text.number(metric.effect, signed=True),
            text.interval_text(metric.interval) if metric.interval else text.ABSENT,
            text.p_value_text(metric.adjusted_p),
        )
    screen.print(secondary)
    _say(screen, correction_note(experiment.comparison.get("looks", ())), style="dim")
    screen.print()


def _print_crossings(screen: Console, found: Across) -> None:
    ahead = "stays above" if found.direction == MAXIMIZE else "stays below (less is better)"
    crossings = table("mean evaluation curve", "over", ahead, "the reverse")
    for crossing in found.crossings:
        sides = [_name(each, found) for each in (crossing.side, crossing.other)]
        row(crossings, *sides, _lead(crossing.lead), _lead(crossing.reverse))
    screen.print(crossings)
    _say(
        screen,
        "linear between evaluations, means over the seeds so far; this is not a test: only the "
        "verdict says whether a difference is more than chance",
        style="dim",
    )
    screen.print()


def _lead(found: Crossover) -> str:
    match found.lead:
        case Lead.FROM_THE_START:
            return "from the start"
        case Lead.FROM_A_STEP:
            return f"from step {wording.whole(found.step)} on"
        case Lead.NEVER:
            return "never"
        case Lead.UNKNOWN:
            return "unknown: no step in common"
        case _:
            assert_never(found.lead)


def _hint(hint: Hint, found: Across) -> str:
    training, evaluation = abs(hint.found.training.change), abs(hint.found.evaluation.change)
    return (
        f"hint: {_name(hint.side, found)} may overfit: training returns improve by about "
        f"{wording.measured(training)} while evaluation returns worsen by about "
        f"{wording.measured(evaluation)} between steps {wording.whole(hint.found.first_step)} and "
        f"{wording.whole(hint.found.last_step)} (the rule: {RULE}; a hint, not a verdict)"
    )


def _name(side: Side, found: Across) -> str:
    return f"[{side.number}] {side.arm.arm}" if len(found.experiments) > 1 else side.arm.arm


def _facts(experiment: Compared) -> str:
    arms = experiment.arms.values()
    algorithms = " and ".join(dict.fromkeys(printable(arm.algorithm) for arm in arms))
    environments = " and ".join(dict.fromkeys(printable(arm.environment) for arm in arms))
    status, created = experiment.stored.status, wording.moment(experiment.stored.created)
    return f"{printable(status)} · {algorithms} on {environments} · {printable(created)}"


def _spread_caption(experiments: Sequence[Compared]) -> str:
    scores = [s for each in experiments for arm in each.arms.values() for s in arm.scores.values()]
    spread = (
        "means over the completed seeds ± standard deviation over seeds"
        if any(score.n > 1 for score in scores)
        else "one seed per arm: how much seeds differ is unknown"
    )
    marked = any(score.imputed for score in scores)
    note = f"; {IMPUTED_MARK} failed runs count with what a failure is worth" if marked else ""
    return f"{spread}; steps and training: sums{note}"


def _score(score: Score) -> str:
    mark = f" {IMPUTED_MARK}" if score.imputed else ""
    return wording.spread(score.mean, score.std) + mark


def _side_of(told: Data, arm: str) -> str:
    return _setting(told.get(arm), is_default=bool(told.get(f"{arm}_is_default")))


def _setting(value: object, *, is_default: bool) -> str:
    text = wording.setting(value)
    return f"{text} (default)" if is_default else text


def _say(screen: Console, text: str, style: str = "", indent: int = 0) -> None:
    told = Text(text, style=style)
    screen.print(Padding(told, (0, 0, 0, indent), expand=False) if indent else told)
