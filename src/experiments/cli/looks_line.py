"""The looks of a sequential design in one line: those that were taken, and which comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..durability.journal import Records
from . import wording

MOST_TAKEN = 4
"""Of the looks that were taken, so many of the latest are told."""

Data = Mapping[str, Any]


def looks_line(plan: Data | None, taken: Sequence[Data]) -> str | None:
    """None without a plan.

    Args:
        plan: `LookPlan` as data.
        taken: `LookTaken` records as data, in their order.
    """
    if not plan:
        return None
    told = [f"after {look['n_per_arm']} p {look['p_value']:.2g}" for look in taken[-MOST_TAKEN:]]
    return f"looks: {' · '.join([*told, _following(plan, taken)])}"


def recorded_looks(events: Path, design: object) -> list[Data]:
    """The looks that an experiment's events tell of.

    `design`: fingerprint of the design; looks that were taken under another one do not count.

    Read as data, because what makes records of them imports the statistics.

    Raises:
        StorageError: when a line is damaged.
    """
    told = (event for event in Records(events) if event["kind"] == "look")
    return [event["look"] for event in told if event.get("design") == design]


def _following(plan: Data, taken: Sequence[Data]) -> str:
    if taken and taken[-1]["decision"] != "go_on":
        told = {
            "reject": "the arms differ",
            "equivalent": "the arms are equivalent",
            "futility": "little promise",
        }
        return told.get(str(taken[-1]["decision"]), "that was the last one")
    done = taken[-1]["n_per_arm"] if taken else 0
    levels = {look["n_per_arm"]: look["nominal_level"] for look in plan["looks"]}
    points = sorted({*levels, *plan["futility_only"]})
    following = next((n for n in points if n > done), None)
    if following is None:
        return wording.UNKNOWN
    level = levels.get(following)
    asked = "can only stop for futility" if level is None else f"p ≤ {level:.2g} ends it"
    return f"next after {following} of at most {plan['max_seeds']} seeds per arm, {asked}"
