"""Which problems a run asks, and in which order: drawn by its seed alone."""

from __future__ import annotations

from collections.abc import Iterator

from ...domain.seeds import SeedStream, stream_seeds
from ...tasks import Task, dialogue, generator, problem_of

FRUITLESS_SHARE = 5
"""A task is taken to have no further problem once so many times as many draws as it has shown
problems brought none: each one of many that are equally likely is then missed once in 150 times."""
FEWEST_FRUITLESS = 200


def training_problems(task: Task, seed: int, different: int, asked: int) -> list[int]:
    """The seeds of `asked` problems: passes over the different ones, each in another order.

    Args:
        task: whose problems they are.
        seed: of the run.
        different: problems at most; a task that has fewer is asked all that were found.
        asked: problems of the whole run, those that are asked again counted again.
    """
    pool = _different(task, seed, min(different, asked))
    rng = generator(seed)
    order: list[int] = []
    while len(order) < asked:
        order += rng.sample(pool, len(pool))
    return order[:asked]


def _different(task: Task, seed: int, most: int) -> list[int]:
    """Seeds of problems no two of which are the same."""
    found: dict[str, int] = {}
    fruitless = 0
    for each in _seeds(seed, most):
        problem = problem_of(dialogue(task, each, held_out=False))
        fruitless = fruitless + 1 if problem in found else 0
        found.setdefault(problem, each)
        if len(found) == most or fruitless > max(FEWEST_FRUITLESS, FRUITLESS_SHARE * len(found)):
            break
    return list(found.values())


def _seeds(seed: int, count: int) -> Iterator[int]:
    """The run's stream for problems, for as long as it is asked."""
    drawn = 0
    while True:
        yield from stream_seeds(seed, SeedStream.PROMPTS, count)[drawn:]
        drawn, count = count, 2 * count
