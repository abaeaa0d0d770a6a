"""Tries out a task of somebody's own, before anything is trained with it."""

from __future__ import annotations

import random
from collections.abc import Sequence

from .guarded import check_characters, wrong
from .task import Dialogue, Task, dialogue, generator, problem_of

TRIED_PROBLEMS = 300
"""Of each side."""
DRAWN_AGAIN = 20
TRIED_DEMONSTRATIONS = 50
LONGEST_BABBLE = 8
"""Characters of a turn that means nothing."""


def try_problems(task: Task, name: str) -> None:
    """Make sure that a seed stands for one problem, and that both sides share none.

    Raises:
        TrainingError: saying by its name what the task does wrong.
    """
    sides = [_problems(task, held_out=side, count=TRIED_PROBLEMS) for side in (False, True)]
    for side, first in zip((False, True), sides, strict=True):
        if _problems(task, held_out=side, count=DRAWN_AGAIN) != first[:DRAWN_AGAIN]:
            raise wrong(
                name,
                "begin draws another problem when a seed is drawn again, and all completions of "
                "a group must answer the same one: draw from rng alone",
            )
    shared = {text for text, _ in sides[0]} & {text for text, _ in sides[1]}
    if shared:
        raise wrong(
            name,
            f"begin draws the same problem for training and for evaluation, {min(shared)!a:.80}: "
            "heed held_out (and tell problems apart by __str__)",
        )


def _problems(task: Task, *, held_out: bool, count: int) -> list[tuple[str, str]]:
    """The texts and openings of the first few problems of a side."""
    drawn = [dialogue(task, seed, held_out=held_out) for seed in range(count)]
    return [(problem_of(each), each.opening) for each in drawn]


def try_demonstrations(task: Task, name: str) -> None:
    """Make sure that a tiny model could be made for a task, and could lead its dialogues.

    Raises:
        TrainingError: saying by its name what it lacks, or does wrong.
    """
    if not task.alphabet:
        raise wrong(name, "alphabet is missing or empty, and the tiny model is made of it")
    rng = generator(0)
    for number in range(TRIED_DEMONSTRATIONS):
        said = task.demonstrate(rng)[1::2]
        for turns in (said, _babble(rng, task)):
            problem = task.begin(rng, held_out=bool(number % 2))
            check_characters(_heard(problem, turns), task.alphabet, name)


def _babble(rng: random.Random, task: Task) -> list[str]:
    """Turns of a model that knows nothing; what it is told then is often another reply."""
    lengths = [rng.randint(0, LONGEST_BABBLE) for _ in range(task.turns)]
    return ["".join(rng.choices(task.alphabet, k=length)) for length in lengths]


def _heard(problem: Dialogue, said: Sequence[str]) -> str:
    """All that a model hears that says this, turn by turn."""
    heard = [problem.opening]
    for turn in said:
        reply = problem.reply(turn)
        if reply is None:
            break
        heard.append(reply)
    return "".join(heard)
