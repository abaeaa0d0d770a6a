"""Dialogues as evaluation episodes: of the model, and of a policy that knows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...domain.records import TrainerConfig
from ...tasks import Task, dialogue, make_task
from ..evaluation import Episode
from ..heartbeat import Tally
from ..shortening import settings_of
from .dialogues import Rollout, Speak, lead
from .models.loading import model_found, source_of, speech_of
from .speaking import Babbler
from .speech import Speech
from .surroundings import tokenizing_in_one_thread

PARALLEL_DIALOGUES = 64
"""Dialogues that are led side by side."""
EPISODES_WITH_TEXT = 3


def held_out_episodes(
    task: Task, speech: Speech, speak: Speak, seeds: Sequence[int], budget: int
) -> list[Episode]:
    """Lead one held-out dialogue a seed; what was said in the first few is kept."""
    rollouts: list[Rollout] = []
    for first in range(0, len(seeds), PARALLEL_DIALOGUES):
        some = seeds[first : first + PARALLEL_DIALOGUES]
        dialogues = [dialogue(task, seed, held_out=True) for seed in some]
        rollouts += lead(dialogues, speech, speak, turns=task.turns, budget=budget)
    return [
        Episode(
            seed,
            reward_sum=float(rollout.dialogue.reward),
            length=rollout.length,
            text=speech.whole(rollout.context) if number < EPISODES_WITH_TEXT else None,
        )
        for number, (seed, rollout) in enumerate(zip(seeds, rollouts, strict=True))
    ]


def random_episodes(config: TrainerConfig, seeds: Sequence[int]) -> list[Episode]:
    """The same dialogues, led by tokens drawn uniformly; no weights of a model are loaded."""
    settings: dict[str, Any] = settings_of(config)
    task = make_task(config.environment, config.environment_kwargs, config.environment_modules)
    name, budget = settings["model_name"], settings["max_completion_length"]
    with tokenizing_in_one_thread():
        folder = model_found(name, task, config.environment, Tally(), with_weights=False)
        source = source_of(name, folder)
        speech = speech_of(source, task)
        speak = Babbler(len(source.tokenizer), speech, seeds[0])
        return held_out_episodes(task, speech, speak, seeds, budget)
