"""Dialogues that a report shows: what a language model said before it learned, and after."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..domain.metric_names import EXAMPLE_COMPLETION
from ..domain.records import RunKey
from ..domain.redaction import redact
from .text import number

Record = Mapping[str, Any]

LONGEST_BEGINNING, LONGEST_END = 600, 400
"""Characters of a dialogue that are shown; of a longer one the middle is left out."""


@dataclass(frozen=True)
class Example:
    """A dialogue of an evaluation, about the first of its problems."""

    step: int
    text: str
    earned: float | None = None
    """Its return."""
    is_final: bool = False
    """Whether it is of the final evaluation, which has problems of its own."""


@dataclass(frozen=True)
class RunExamples:
    """The dialogues of a run that are shown."""

    run: RunKey
    examples: tuple[Example, ...]
    """Of its first evaluation, of the last about the same problem, and of the final one."""


class ExampleCollector:
    """Picks the dialogues: of each arm those of the first run that led any."""

    def __init__(self) -> None:
        self._by_arm: dict[str, RunExamples] = {}

    def watched(self, run: RunKey, journal: Iterable[Record]) -> Iterator[Record]:
        """Pass a run's journal on, and keep the dialogues that are to be shown."""
        is_wanted = run.arm not in self._by_arm
        evaluation: Record = {}
        for record in journal:
            if record["kind"] == "evaluation":
                evaluation = record
            if is_wanted and record["kind"] == "text" and record["name"] == EXAMPLE_COMPLETION:
                self._take(run, _example(record, evaluation))
            yield record

    def _take(self, run: RunKey, found: Example) -> None:
        known = self._by_arm.get(run.arm)
        before = known.examples if known is not None else ()
        kept = before if found.is_final else before[:1]
        self._by_arm[run.arm] = RunExamples(run, (*kept, found))

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
            [(_title(one), abridged(redact(one.text, secrets))) for one in each.examples],
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


def _example(record: Record, evaluation: Record) -> Example:
    """A dialogue as the journal tells it, right after the evaluation that it is of."""
    returns = evaluation.get("returns") if evaluation.get("step") == record["step"] else None
    earned = returns[0] if returns else None
    is_final = bool(returns and evaluation.get("final"))
    return Example(record["step"], record["text"], earned, is_final)


def _title(example: Example) -> str:
    when = f"after {example.step:,} steps" if example.step else "before the first step"
    if example.is_final:
        when = f"final evaluation, {when}"
    earned = "" if example.earned is None else f" · return {number(example.earned)}"
    return when[0].upper() + when[1:] + earned
