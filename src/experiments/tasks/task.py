"""What a language task must offer, and how its problems are drawn by seed."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeVar

HELD_OUT_SHARE = 5
"""One problem in so many is kept for evaluation."""
COMMUTE = "+*"
"""Operations whose operands may change places."""
CALLS, FAILED_CALLS = "calls", "failed_calls"
"""Names of facts about dialogues that tools are called in."""
MOST_DRAWS = 10_000
"""A task whose problems are all on one side is refused instead of drawn from for ever."""

Problem = TypeVar("Problem")


class Dialogue(Protocol):
    """One problem while it is being solved; used by one rollout, in the order of its turns."""

    @property
    def opening(self) -> str:
        """What the model is asked first."""

    def reply(self, said: str) -> str | None:
        """Take what the model said; what it hears next, None where the dialogue has ended."""

    @property
    def reward(self) -> float:
        """What the dialogue was worth so far, 0 to 1."""

    # may have facts() -> Mapping[str, float], too: what `facts_of` tells


class Task(Protocol):
    """A family of problems; instances hold settings alone and can be shared."""

    @property
    def turns(self) -> int:
        """Turns of the model in one dialogue, at most."""

    @property
    def instructions(self) -> str:
        """What a model with a chat template is told before the opening."""

    @property
    def alphabet(self) -> str:
        """Every character that openings, replies and demonstrations are made of."""

    def begin(self, rng: random.Random, *, held_out: bool) -> Dialogue:
        """Draw a problem of the training side, or of the side that evaluation keeps."""

    def demonstrate(self, rng: random.Random) -> list[str]:
        """A dialogue as a poor pupil leads it: opening, what is said, the reply, and so on.

        The tiny model is trained on such dialogues before reinforcement learning begins; most of
        them end badly, so that there is something to learn. Both sides' problems occur.
        """


def dialogue(task: Task, seed: int, *, held_out: bool) -> Dialogue:
    """The problem that a seed stands for."""
    return task.begin(generator(seed), held_out=held_out)


def generator(seed: int) -> random.Random:
    """What problems are drawn from."""
    return random.Random(seed)  # noqa: S311 - problems are no secrets


def is_held_out(problem: str) -> bool:
    """Whether a problem is kept for evaluation: decided by its text alone, for every seed."""
    return zlib.crc32(problem.encode()) % HELD_OUT_SHARE == 0


def commuted(left: int, operation: str, right: int) -> str:
    """A sum or product as text, the smaller number first where their order changes nothing."""
    if operation in COMMUTE:
        left, right = sorted((left, right))
    return f"{left}{operation}{right}"


def problem_of(dialogue: Dialogue) -> str:
    """What tells a problem from others: the dialogue's text where its class has one, else the
    opening.
    """
    return dialogue.opening if type(dialogue).__str__ is object.__str__ else str(dialogue)


def facts_of(dialogue: Dialogue) -> Mapping[str, float]:
    """What a dialogue tells of itself besides its reward, by name: metrics are made of it."""
    facts: Callable[[], Mapping[str, float]] | None = getattr(dialogue, "facts", None)
    return {} if facts is None else facts()


def drawn(
    draw: Callable[[], Problem], *, held_out: bool, side: Callable[[Problem], str]
) -> Problem:
    """The first problem drawn that lies on the side that is asked for.

    Args:
        draw: draws a problem.
        held_out: the side.
        side: the text that decides the side of a problem (`is_held_out`).

    Raises:
        LookupError: when there seems to be none.
    """
    for problem in _draws(draw):
        if is_held_out(side(problem)) is held_out:
            return problem
    raise LookupError("the task has too few problems: some must be left for evaluation")


def _draws(draw: Callable[[], Problem]) -> Iterator[Problem]:
    for _ in range(MOST_DRAWS):
        yield draw()
