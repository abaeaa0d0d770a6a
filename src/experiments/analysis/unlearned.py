"""Runs in which nothing was learned: training has changed no parameter of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..config.algorithms import is_language
from ..domain.records import TrainingResult
from ..domain.unlearned import unlearned_words
from ..domain.verdicts import Comparison
from .evidence import Results


def with_unlearned(comparison: Comparison, results: Results) -> Comparison:
    """The comparison; where no run of either arm has learned anything its sentence begins so."""
    known = [run for runs in results.values() for run in runs if run.learned is not None]
    if not known or any(run.learned for run in known):
        return comparison
    told = "Nothing was learned: training changed no parameter in any run of either arm"
    return replace(comparison, sentence=f"{told}. {_remedy(known)} {comparison.sentence}")


def unlearned_warning(arm: str, runs: Sequence[TrainingResult]) -> str | None:
    """What a reader must know of an arm with such runs; None without any."""
    idle = [run for run in runs if run.learned is False]
    if not idle:
        return None
    return f"{unlearned_words(arm, len(idle), len(runs))}. {_remedy(idle)}"


def _remedy(runs: Sequence[TrainingResult]) -> str:
    if any(is_language(run.algorithm) for run in runs):
        return (
            "Where all completions of a prompt earn the same reward, there is nothing to learn "
            "from: check the dialogues, max_completion_length, and whether the task is too hard "
            "or too easy for the model."
        )
    return "Check the learning rate, learning_starts and the number of steps."
