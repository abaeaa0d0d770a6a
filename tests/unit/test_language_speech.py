"""Dialogues as tokens: what the library's own rendering of the whole would be."""

from __future__ import annotations

from typing import Any

import pytest

from tests.language import needs_trl, newborn

pytestmark = needs_trl

TEMPLATE = (
    "{% for m in messages %}({{ m['role'][0] }}={{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}<end>{% endif %}){% endfor %}"
    "{% if add_generation_prompt %}(a={% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(newborn("multiturn_calculator"))


def test_without_a_template_the_texts_stand_one_after_the_other(tokenizer: Any) -> None:
    from src.experiments.training.trl.speech import Speech

    speech = Speech(tokenizer, "not told")
    tokens = [*speech.opening("1+2="), *speech.reply("=3;")]

    assert speech.whole(tokens) == "1+2==3;"
    assert speech.said([*tokens, speech.end]) == "1+2==3;"


def test_turns_added_one_by_one_are_the_template_s_rendering_of_the_whole(tokenizer: Any) -> None:
    from src.experiments.training.trl.speech import Speech

    tokenizer.chat_template = TEMPLATE
    speech = Speech(tokenizer, "calc")
    said = [*tokenizer("12", add_special_tokens=False)["input_ids"], speech.end]
    tokens = [*speech.opening("3*4"), *said, *speech.reply("+1")]
    messages = [
        {"role": "system", "content": "calc"},
        {"role": "user", "content": "3*4"},
        {"role": "assistant", "content": "12"},
        {"role": "user", "content": "+1"},
    ]

    whole = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert tokens == tokenizer(whole, add_special_tokens=False)["input_ids"]


class Scripted:
    """Says what it was given, turn by turn."""

    def __init__(self, tokenizer: Any, *turns: str, end: int) -> None:
        self.turns = [
            [*tokenizer(turn, add_special_tokens=False)["input_ids"], end] for turn in turns
        ]

    def __call__(self, contexts: list[list[int]], most: int) -> list[list[int]]:
        turn = self.turns.pop(0)[:most]
        return [turn for _ in contexts]


@pytest.mark.parametrize(
    ("budget", "reward", "whole"),
    [
        (40, 1.0, "6*7?calc(6*7)<end>=42;42<end>"),
        (13, 0.0, "6*7?calc(6*7)<end>"),  # no room for the reply
    ],
)
def test_a_dialogue_ends_where_its_room_does(budget: int, reward: float, whole: str) -> None:
    from transformers import AutoTokenizer

    from src.experiments.tasks.tool_use import Calculation
    from src.experiments.training.trl.dialogues import lead
    from src.experiments.training.trl.speech import Speech

    tokenizer = AutoTokenizer.from_pretrained(newborn("multiturn_calculator"))
    speech = Speech(tokenizer, "")
    speak = Scripted(tokenizer, "calc(6*7)", "42", end=speech.end)
    (rollout,) = lead([Calculation("6*7", 2)], speech, speak, turns=3, budget=budget)

    assert len(rollout.completion) == len(rollout.is_said) <= budget
    assert rollout.dialogue.reward == reward
    assert speech.whole(rollout.context).startswith(whole[:17])
    said = [
        token for token, is_said in zip(rollout.completion, rollout.is_said, strict=True) if is_said
    ]
    assert "=" not in speech.whole(said)
