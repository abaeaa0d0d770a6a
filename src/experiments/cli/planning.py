"""What `experiments power` tells: the seeds that an effect takes, given a spread or a pilot."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..analysis.power import PILOT_CONFIDENCE, Plan, Spread, plan, seeds_for
from ..analysis.statistics import MAX_SEEDS
from ..analysis.text import number, p_value_text, percent, plural
from ..domain.errors import UsageError
from .pilots import Pilot, read_pilot
from .scores import check_alpha, check_positive

DEFAULT_ALPHA = 0.05
NONE_AFFORDABLE = (
    f"No affordable number of seeds would do: more than {MAX_SEEDS:,} per arm. "
    "Reduce the noise, or ask for a larger effect."
)


@dataclass(frozen=True)
class Question:
    """A command line that asks how many seeds it takes."""

    effect: float | None
    sd: float | None
    pilot: str | None
    alpha: float | None
    power: float
    paired: bool
    output_dir: Path
    json: bool = False


def tell_plan(question: Question) -> int:
    """Print the seeds that the effect takes, and what 3 to 30 seeds can show.

    Raises:
        UsageError: when the options or the pilot are refused.
    """
    pilot = _checked(question)
    effect = question.effect
    if effect is None and pilot is not None:
        effect = pilot.minimum_effect
    found = plan(
        pilot.spread.sd if pilot is not None else question.sd or 1.0,
        effect,
        alpha=_alpha(question, pilot),
        power=question.power,
        paired=question.paired or (pilot is not None and pilot.paired),
    )
    if question.json:
        from .json_output import write_object

        write_object(_as_json(found, pilot))
    else:
        _print(found, pilot)
    return 0


def sentence(found: Plan) -> str:
    """How many seeds the plan's effect takes; what is certain without one."""
    if found.effect is None:
        return (
            f"At least {found.fewest} seeds per arm: with fewer the permutation test cannot reach "
            f"p ≤ {found.alpha:g}. --effect SIZE shows how many a difference takes."
        )
    aim = (
        f"To show a difference of {found.effect:g} with {percent(found.power)} power "
        f"(α = {found.alpha:g}, standard deviation {number(found.sd)})"
    )
    if found.seeds is None:
        return f"{aim}: {NONE_AFFORDABLE[0].lower()}{NONE_AFFORDABLE[1:]}"
    return f"{aim}, run {found.seeds:,} seeds per arm."


def pilot_lines(found: Plan, pilot: Pilot) -> list[str]:
    """Where the spread comes from, and how little a small pilot knows of it."""
    spread = pilot.spread
    known = f"{plural(pilot.runs, 'run')}, {plural(spread.df, 'degree')} of freedom"
    lines = [f"The spread is that of {pilot.source}: {known}."]
    upper = (
        f"It may well be larger: up to {number(spread.upper)} with {percent(PILOT_CONFIDENCE)} "
        "confidence"
    )
    if found.effect is None:
        lines.append(f"{upper}.")
    else:
        seeds = _seeds_at_worst(found, spread)
        lines.append(f"{upper}; that would take {_count(seeds)} seeds per arm.")
    if pilot.without_score:
        lines.append(
            f"{plural(pilot.without_score, 'run')} without a score, failed or not finished, "
            "cannot be included: failures make the spread larger than this."
        )
    return lines


def _checked(question: Question) -> Pilot | None:
    """Refuse what makes no sense, and read the pilot.

    Raises:
        UsageError: naming the option.
    """
    for option, value in (("--effect", question.effect), ("--sd", question.sd)):
        if value is not None:
            check_positive(option, value)
    if (question.sd is None) == (question.pilot is None):
        given = "neither --sd nor" if question.sd is None else "both --sd and"
        raise UsageError(
            f"{given} --pilot given",
            remedy="--sd states the standard deviation over seeds, --pilot takes it from runs; "
            "--sd 1 states effects in standard deviations",
        )
    if question.alpha is not None:
        check_alpha(question.alpha)
    pilot = None
    if question.pilot is not None:
        pilot = read_pilot(question.pilot, question.output_dir, paired=question.paired)
    alpha = _alpha(question, pilot)
    if not alpha < question.power < 1.0:
        raise UsageError(
            f"--power must lie between alpha ({alpha:g}) and 1, got {question.power:g}",
            remedy="0.8 is usual",
        )
    return pilot


def _alpha(question: Question, pilot: Pilot | None) -> float:
    if question.alpha is not None:
        return question.alpha
    return DEFAULT_ALPHA if pilot is None or pilot.alpha is None else pilot.alpha


def _seeds_at_worst(found: Plan, spread: Spread) -> int | None:
    assert found.effect is not None  # noqa: S101
    return seeds_for(
        found.effect, spread.upper, alpha=found.alpha, power=found.power, paired=found.paired
    )


def _count(seeds: int | None) -> str:
    return f"more than {MAX_SEEDS:,}" if seeds is None else f"{seeds:,}"


def _as_json(found: Plan, pilot: Pilot | None) -> dict[str, Any]:
    return {
        "sentence": sentence(found),
        "alpha": found.alpha,
        "power": found.power,
        "paired": found.paired,
        "sd": found.sd,
        "effect": found.effect,
        "effect_in_sd": found.effect_in_sd,
        "seeds_per_arm": found.seeds,
        "fewest_that_can_decide": found.fewest,
        "table": [asdict(row) for row in found.rows],
        "pilot": None if pilot is None else _pilot_as_json(found, pilot),
    }


def _pilot_as_json(found: Plan, pilot: Pilot) -> dict[str, Any]:
    worst = None if found.effect is None else _seeds_at_worst(found, pilot.spread)
    return {
        "source": pilot.source,
        "runs": pilot.runs,
        "without_score": pilot.without_score,
        "sd": pilot.spread.sd,
        "degrees_of_freedom": pilot.spread.df,
        "sd_upper": pilot.spread.upper,
        "seeds_per_arm_at_sd_upper": worst,
        "warnings": list(pilot.warnings),
    }


def _print(found: Plan, pilot: Pilot | None) -> None:
    from rich.text import Text

    from . import screen
    from .displays import warn
    from .wording import printable

    people = screen.results_console()
    people.print(Text(printable(sentence(found)), style="bold"))
    for line in () if pilot is None else pilot_lines(found, pilot):
        people.print(Text(printable(line)))
    people.print()
    people.print(_table(found))
    people.print(Text(printable(_caption(found)), style="dim"))
    for warning in () if pilot is None else pilot.warnings:
        warn(f"warning: {warning}")


def _table(found: Plan) -> Any:
    from . import tables

    shown = f"shown with {percent(found.power)} power"
    power = [] if found.effect is None else [f"power for {found.effect:g}"]
    headings = ("seeds per arm", shown, "in SD", *power, "smallest p")
    table = tables.table(*headings, right=headings)
    for row in found.rows:
        smallest = p_value_text(row.smallest_p)
        if not row.can_decide:
            smallest += " > α"
        achieved = [] if row.power is None else [percent(round(row.power, 3))]
        tables.row(
            table, row.n, number(row.detectable), f"{row.detectable_in_sd:.2f}", *achieved, smallest
        )
    return table


def _caption(found: Plan) -> str:
    test = "paired t-test" if found.paired else "t-test"
    note = f"Power by the two-sided {test} at the α that the permutation test can use"
    if found.fewest > found.rows[0].n:
        note += f"; fewer than {found.fewest} seeds cannot decide"
    return note
