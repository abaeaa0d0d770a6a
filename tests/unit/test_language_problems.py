"""Which problems a run asks: different ones, in passes, by its seed alone."""

from __future__ import annotations

from collections import Counter

import pytest

from src.experiments.tasks import Task, dialogue, make_task, problem_of
from tests.language import needs_trl

pytestmark = needs_trl


def texts(task: Task, seeds: list[int]) -> list[str]:
    return [problem_of(dialogue(task, seed, held_out=False)) for seed in seeds]


@pytest.mark.parametrize(
    ("name", "different", "expected"),
    [
        ("arithmetic", 20, 20),
        ("arithmetic", 512, 158),  # 200 sums and differences of two digits, four in five of them
        ("multiturn_qa", 300, 300),
        ("multiturn_calculator", 512, 512),
    ],
)
def test_so_many_different_problems_are_asked_or_all_that_there_are(
    name: str, different: int, expected: int
) -> None:
    from src.experiments.training.trl.problems import training_problems

    task = make_task(name, {})
    asked = texts(task, training_problems(task, 1, different, 1200))

    assert len(asked) == 1200
    assert len(set(asked)) == expected
    assert len(set(asked[:expected])) == expected  # a whole pass before any is asked again
    counts = Counter(asked).values()
    assert max(counts) - min(counts) <= 1


def test_equal_seeds_ask_alike_and_others_do_not() -> None:
    from src.experiments.training.trl.problems import training_problems

    task = make_task("arithmetic", {})

    assert training_problems(task, 1, 50, 80) == training_problems(task, 1, 50, 80)
    assert training_problems(task, 1, 50, 80) != training_problems(task, 2, 50, 80)
