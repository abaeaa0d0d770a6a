"""The looks of a sequential design, and those in mid-training, as rows of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .early_abort import ABORT_LEVEL, AbortLook, AbortRule
from .looks import LookPlan
from .sequential import Decision
from .text import ABSENT, interval_text, number, p_value_text, percent

COLUMNS = (
    "Seeds per arm",
    "Outcome",
    "z",
    "Boundary",
    "p",
    "Asked",
    "Difference",
    "Repeated interval",
    "Interval level",
    "Predictive power",
)
DECISIONS = {
    Decision.REJECT: "rejected: stopped",
    Decision.EQUIVALENT: "equivalent: stopped",
    Decision.FUTILITY: "stopped for futility",
    Decision.GO_ON: "continued",
    Decision.LAST_LOOK: "ended without rejecting",
}

ABORT_COLUMNS = (
    "Share of training",
    "Outcome",
    "Seeds per arm",
    "Difference",
    "p, one-sided",
    "Asked",
)


def abort_rows(looks: Sequence[AbortLook]) -> tuple[tuple[str, ...], ...]:
    """A row for each look at the variant in mid-training."""
    return tuple(
        (
            percent(look.fraction),
            "the variant was stopped" if look.abort else "continued",
            str(min(look.n_baseline, look.n_variant)),
            number(look.effect, signed=True),
            p_value_text(look.p_value),
            f"< {ABORT_LEVEL:g}" if look.rule is AbortRule.WELCH else "a worse mean",
        )
        for look in looks
    )


def looks_rows(
    plan: LookPlan | None, taken: Sequence[Mapping[str, Any]]
) -> tuple[tuple[str, ...], ...]:
    """A row for each look, taken or not; `taken` is `Comparison.looks`."""
    known = {each["n_per_arm"] for each in taken}
    planned = plan.points if plan is not None else ()
    over = bool(taken) and Decision(taken[-1]["decision"]).ends
    rows = [(each["n_per_arm"], _taken(each)) for each in taken]
    rows += [(n, _to_come(n, plan, over=over)) for n in planned if n not in known]
    return tuple(row for _, row in sorted(rows))


def _taken(look: Mapping[str, Any]) -> tuple[str, ...]:
    interval, promise = look["interval"], look["predictive_power"]
    return (
        str(look["n_per_arm"]),
        DECISIONS[Decision(look["decision"])],
        f"{look['statistic']:+.2f}".replace("-", "−"),
        _boundary(look["critical_value"]),
        p_value_text(look["p_value"]),
        p_value_text(look["nominal_level"]),
        number(look["effect"], signed=True),
        ABSENT if interval is None else interval_text((interval[0], interval[1])),
        ABSENT if interval is None else percent(round(look["level"], 4)),
        ABSENT if promise is None else percent(round(promise, 3)),
    )


def _to_come(n_per_arm: int, plan: LookPlan | None, *, over: bool) -> tuple[str, ...]:
    look = plan.look_at(n_per_arm) if plan is not None else None
    return (
        str(n_per_arm),
        "not needed" if over else "still to come",
        "",
        _boundary(look.critical_value if look else None),
        "",
        p_value_text(look.nominal_level if look else None),
        *("", "", "", ""),
    )


def _boundary(value: float | None) -> str:
    return "futility only" if value is None else f"±{value:.2f}"
