"""Language tasks with a reward that can be checked: what is asked, how a dialogue goes on.

Plain Python: nothing here knows of models or tokens, so that checking an experiment file needs no
learning library.
"""

from .registry import TASKS, find_task, make_task
from .task import CALLS, FAILED_CALLS, Dialogue, Task, dialogue, facts_of, generator, problem_of
from .trying import try_demonstrations, try_problems

__all__ = [
    "CALLS",
    "FAILED_CALLS",
    "TASKS",
    "Dialogue",
    "Task",
    "dialogue",
    "facts_of",
    "find_task",
    "generator",
    "make_task",
    "problem_of",
    "try_demonstrations",
    "try_problems",
]
