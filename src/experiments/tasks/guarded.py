"""A task of somebody's own, watched: what it does wrong is told by its name."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any, TypeVar

from ..domain.errors import TrainingError, described
from .task import facts_of, generator, problem_of

LONGEST_REASON = 200
_FACT = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
"""The name of a fact, which becomes part of a metric's."""

Value = TypeVar("Value")


class GuardedDialogue:
    """One problem of such a task.

    Args:
        inner: the problem.
        name: the task's.
    """

    def __init__(self, inner: Any, name: str) -> None:
        self._inner = inner
        self._name = name
        for needed in ("opening", "reply", "reward"):
            call(name, f"the {needed} of a problem", partial(getattr, inner, needed))

    def __str__(self) -> str:
        return call(self._name, "the text of a problem", lambda: problem_of(self._inner))

    @property
    def opening(self) -> str:
        """What the model is asked first."""
        found = call(self._name, "opening", lambda: self._inner.opening)
        if not isinstance(found, str) or not found:
            raise wrong(self._name, f"opening must be a text that is not empty, not {found!r:.80}")
        return found

    def reply(self, said: str) -> str | None:
        """Take what the model said; what it hears next."""
        found = call(self._name, "reply", lambda: self._inner.reply(said))
        if found is not None and not isinstance(found, str):
            raise wrong(self._name, f"reply must return a text or None, not {found!r:.80}")
        return found

    @property
    def reward(self) -> float:
        """What the dialogue was worth so far."""
        found = call(self._name, "reward", lambda: self._inner.reward)
        number = call(self._name, "reward", lambda: _number(found))
        if number is None or not math.isfinite(number):
            raise wrong(self._name, f"reward must be a finite number, not {found!r:.80}")
        return number

    def facts(self) -> Mapping[str, float]:
        """What it tells of itself besides; nothing where it has no `facts`."""
        found = call(self._name, "facts", lambda: facts_of(self._inner))
        if not isinstance(found, Mapping) or not all(_is_fact(*each) for each in found.items()):
            raise wrong(self._name, f"facts must be finite numbers by name, not {found!r:.80}")
        return {name: float(value) for name, value in found.items()}


@dataclass(frozen=True)
class GuardedTask:
    """The task itself; `guarded` makes one."""

    inner: Any
    name: str
    turns: int
    instructions: str
    alphabet: str

    def begin(self, rng: random.Random, *, held_out: bool) -> GuardedDialogue:
        """Draw a problem."""
        problem = call(self.name, "begin", lambda: self.inner.begin(rng, held_out=held_out))
        return GuardedDialogue(problem, self.name)

    def demonstrate(self, rng: random.Random) -> list[str]:
        """A dialogue to imitate, in the task's alphabet."""
        told = call(self.name, "demonstrate", lambda: self.inner.demonstrate(rng))
        is_list = isinstance(told, Sequence) and not isinstance(told, str)
        if not is_list or not told or len(told) % 2 or not all(isinstance(e, str) for e in told):
            raise wrong(
                self.name,
                "demonstrate must return a list of texts, what is asked and what is said in turn, "
                f"not {told!r:.80}",
            )
        check_characters("".join(told), self.alphabet, self.name)
        return list(told)


def guarded(task: Any, name: str) -> GuardedTask:
    """The task, watched, once a problem of each side could be drawn.

    Raises:
        TrainingError: saying by its name what it lacks, or does wrong.
    """
    turns = call(name, "turns", lambda: task.turns)
    if type(turns) is not int or turns < 1:
        raise wrong(name, f"turns must be a whole number of at least 1, not {turns!r:.80}")
    instructions = call(name, "instructions", lambda: task.instructions)
    alphabet = call(name, "alphabet", lambda: getattr(task, "alphabet", ""))
    for what, text in (("instructions", instructions), ("alphabet", alphabet)):
        if not isinstance(text, str):
            raise wrong(name, f"{what} must be a text, not {text!r:.80}")
    made = GuardedTask(task, name, turns, instructions, alphabet)
    for held_out in (False, True):
        problem = made.begin(generator(0), held_out=held_out)
        _ = problem.opening, problem.reward, str(problem), problem.facts()
    return made


def check_characters(text: str, alphabet: str, name: str) -> None:
    """Refuse characters of which the tiny model would have no token.

    Raises:
        TrainingError: naming them.
    """
    foreign = sorted(set(text) - set(alphabet))
    if foreign:
        raise wrong(name, f"alphabet lacks characters of its texts: {foreign!a:.80}")


def call(name: str, what: str, function: Callable[[], Value]) -> Value:
    """What a task's own code returns.

    Raises:
        TrainingError: naming the task and what was asked of it, when that raises.
    """
    try:
        return function()
    except TrainingError:
        raise
    except Exception as error:
        raise wrong(name, f"{what} raised {shortened(error)}") from error


def wrong(name: str, what: str) -> TrainingError:
    """An error that names a task."""
    return TrainingError(f"the task {name!a}: {what}", remedy="correct the task")


def shortened(error: BaseException) -> str:
    """The first line of an error, at a length for one line."""
    text = described(error).splitlines()[0]
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"


def _number(value: Any) -> float | None:
    return None if isinstance(value, str | bytes) or value is None else float(value)


def _is_fact(name: Any, value: Any) -> bool:
    is_named = isinstance(name, str) and _FACT.fullmatch(name) is not None
    return is_named and isinstance(value, Real) and math.isfinite(value)
