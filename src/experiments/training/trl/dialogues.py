"""Dialogues between a model and its tasks, led side by side, turn by turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ...tasks import Dialogue
from .speech import Speech

Speak = Callable[[list[list[int]], int], list[list[int]]]
"""What the model says next to each of some contexts, in so many tokens at most."""


@dataclass
class Rollout:
    """One dialogue as tokens."""

    dialogue: Dialogue
    prompt: list[int]
    completion: list[int] = field(default_factory=list)
    """All that follows the prompt: what the model said, and what it was told between its turns."""
    is_said: list[int] = field(default_factory=list)
    """1 for each token of the completion that the model said, 0 for the others."""

    @property
    def context(self) -> list[int]:
        """All so far."""
        return [*self.prompt, *self.completion]

    @property
    def length(self) -> int:
        """Tokens that the model said."""
        return sum(self.is_said)

    def add(self, tokens: Sequence[int], *, is_said: bool) -> None:
        """Go on with tokens of the model, or of the task."""
        self.completion += tokens
        self.is_said += [int(is_said)] * len(tokens)


def lead(
    dialogues: Sequence[Dialogue], speech: Speech, speak: Speak, *, turns: int, budget: int
) -> list[Rollout]:
    """Lead dialogues to their ends.

    Args:
        dialogues: fresh ones.
        speech: how they become tokens.
        speak: the model.
        turns: turns of the model in one dialogue, at most.
        budget: tokens of one completion, at most; a dialogue that reaches it ends there, and what
            the model was about to say is no answer.

    Raises:
        TrainingError: when the model cannot look at so many tokens.
    """
    prompts = speech.prompts((each.opening for each in dialogues), budget)
    rollouts = [Rollout(*each) for each in zip(dialogues, prompts, strict=True)]
    going = rollouts
    for turn in range(turns):
        if not going:
            break
        most = max(budget - len(each.completion) for each in going)
        said = speak([each.context for each in going], most)
        is_last = turn == turns - 1
        going = [
            rollout
            for rollout, tokens in zip(going, said, strict=True)
            if _goes_on(rollout, tokens, speech, budget) and not is_last
        ]
    return rollouts


def _goes_on(rollout: Rollout, tokens: list[int], speech: Speech, budget: int) -> bool:
    """Take a turn of the model, and the reply to it where there is one and room for it."""
    tokens = tokens[: budget - len(rollout.completion)]
    rollout.add(tokens, is_said=True)
    if not speech.is_whole(tokens):
        return False  # cut off: whatever it says so far, the model has not yet said it
    answer = rollout.dialogue.reply(speech.said(tokens))
    if answer is None:
        return False
    reply = speech.reply(answer)
    if len(rollout.completion) + len(reply) >= budget:
        return False
    rollout.add(reply, is_said=False)
    return True
