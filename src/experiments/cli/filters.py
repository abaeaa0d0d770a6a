"""Which experiments a list is asked for: by tag, environment, algorithm, age and status."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..domain.errors import UsageError
from ..domain.records import ExperimentStatus
from . import stored
from .overview import Overview

STATUSES = (*(status.value for status in ExperimentStatus), stored.STOPPED, stored.UNREADABLE)
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SINCE_FORMS = (
    "a date (2030-01-31), a moment (2030-01-31T12:00, UTC unless it says otherwise), "
    "or an age: 90m, 24h, 7d, 2w"
)
_AGE = re.compile(r"([0-9]{1,9})([mhdw])")
_VERSION = re.compile(r"-v[0-9]+$", re.ASCII)


@dataclass(frozen=True)
class Filters:
    """What an experiment must be to be listed; None and nothing ask for nothing."""

    tags: tuple[str, ...] = ()
    """All of them."""
    environment: str | None = None
    """Of either arm: as written or as it really runs, with or without its version."""
    algorithm: str | None = None
    """Of either arm."""
    since: datetime | None = None
    """Made at this moment or later."""
    status: str | None = None

    def admit(self, entry: Overview) -> bool:
        """Whether an experiment is what is asked for."""
        return (
            set(self.tags) <= set(entry.tags)
            and (self.status is None or self.status == entry.status)
            and (self.algorithm is None or is_named(self.algorithm, entry.algorithms))
            and (self.environment is None or is_environment(self.environment, entry.environments))
            and (self.since is None or is_since(self.since, entry.created))
        )


def check_status(text: str) -> str:
    """The status that is meant.

    Raises:
        UsageError: naming all there are.
    """
    if text.lower() not in STATUSES:
        raise UsageError(
            f"--status {text[:100]!a} is not a status", remedy=f"use one of {', '.join(STATUSES)}"
        )
    return text.lower()


def moment_since(text: str, now: datetime) -> datetime:
    """The moment that is meant by a date, a moment, or an age.

    Raises:
        UsageError: naming the forms that are allowed.
    """
    try:
        if age := _AGE.fullmatch(text):
            return now - timedelta(**{UNITS[age[2]]: int(age[1])})
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--since {text[:100]!a} is neither a date nor an age", remedy=f"use {SINCE_FORMS}"
        ) from None


def is_named(asked: str, names: Sequence[str]) -> bool:
    """Whether a name is among others; capitals do not count."""
    return asked.casefold() in (name.casefold() for name in names)


def is_environment(asked: str, ids: Sequence[str]) -> bool:
    """Whether an environment is among the ids, which it may name without their versions."""
    bare = [each.rpartition(":")[2] for each in ids]
    return is_named(asked, [*ids, *bare, *(_VERSION.sub("", each) for each in bare)])


def is_since(moment: datetime, created: str) -> bool:
    """Whether a file's moment is at or after another; one that cannot be read is not."""
    try:
        made = datetime.fromisoformat(created)
    except ValueError:
        return False
    return (made if made.tzinfo else made.replace(tzinfo=UTC)) >= moment
