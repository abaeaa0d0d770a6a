"""Dialogues that a report shows: what a language model said before it learned, and after."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..domain.metric_names import EXAMPLE_COMPLETION
from ..domain.records import RunKey
from ..domain.redaction import redact

Record = Mapping[str, Any]

LONGEST_BEGINNING, LONGEST_END = 600, 400
"""Characters of a dialogue that are shown; of a longer one the middle is left out."""


@dataclass(frozen=True)
class Example:
    """A dialogue of an evaluation."""

    step: int
    text: str


@dataclass(frozen=True)
class RunExamples:
    """The dialogues of a run that are shown."""

    run: RunKey
    examples: tuple[Example, ...]
    """Of its first evaluation and of its last, or of the only one."""


class ExampleCollector:
    """Picks the dialogues: of each arm those of the first run that led any."""

    def __init__(self) -> None:
        self._by_arm: dict[str, RunExamples] = {}

    def watched(self, run: RunKey, journal: Iterable[Record]) -> Iterator[Record]:
        """Pass a run's journal on, and keep the dialogues that are to be shown."""
        is_wanted = run.arm not in self._by_arm
        for record in journal:
            if is_wanted and record["kind"] == "text" and record["name"] == EXAMPLE_COMPLETION:
                found = Example(record["step"], record["text"])
                known = self._by_arm.get(run.arm)
                first = known.examples[:1] if known else ()
                self._by_arm[run.arm] = RunExamples(run, (*first, found))
            yield record

    @property
    def found(self) -> tuple[RunExamples, ...]:
        """By arm, in the order of the runs."""
        return tuple(self._by_arm.values())


def as_shown(
    runs: Iterable[RunExamples], secrets: Collection[str]
) -> list[tuple[RunKey, list[tuple[str, str]]]]:
    """Titles and texts by run, without secrets, at a length for a page."""
    return [
        (
            each.run,
            [(_title(one.step), abridged(redact(one.text, secrets))) for one in each.examples],
        )
        for each in runs
    ]


def abridged(text: str) -> str:
    """A text, or its beginning and its end and how much is left out between them."""
    left_out = len(text) - LONGEST_BEGINNING - LONGEST_END
    if left_out <= 0:
        return text
    note = f"\n[… {left_out:,} characters are left out …]\n"
    return text[:LONGEST_BEGINNING] + note + text[-LONGEST_END:]


def _title(step: int) -> str:
    return f"After {step:,} steps" if step else "Before the first step"
