"""Dialogues as tokens: what the library's own rendering of the whole would be."""

from __future__ import annotations

from typing import Any

import pytest

from src.experiments.domain.errors import TrainingError
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


ENDED = "{{ m['content'] }}{% if m['role'] == 'assistant' %}<end>{% endif %}"
LOOP = "{% for m in messages %}"
CLOSE = "{% endfor %}{% if add_generation_prompt %}={% endif %}"
STRIPS_THOUGHTS = (
    LOOP + "{% if m['role'] == 'assistant' and not loop.last %}"
    "{{ m['content'].split('</think>')[-1].strip() }}<end>{% else %}"
    + ENDED
    + "{% endif %}"
    + CLOSE
)
THINKS_IN_THE_LAST_TURN = (
    LOOP + "{% if m['role'] == 'assistant' and loop.last %}<think></think>{% endif %}"
    + ENDED + CLOSE
)  # fmt: skip
DROPS_TURNS = LOOP + "{% if m['role'] == 'user' %}" + ENDED + "{% endif %}" + CLOSE
REFUSES_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    + LOOP + ENDED + CLOSE
)  # fmt: skip
DROPS_SYSTEM = LOOP + "{% if m['role'] != 'system' %}" + ENDED + "{% endif %}" + CLOSE


@pytest.mark.parametrize("template", [STRIPS_THOUGHTS, THINKS_IN_THE_LAST_TURN, DROPS_TURNS])
def test_a_template_that_renders_earlier_turns_anew_is_refused_where_there_are_several(
    tokenizer: Any, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from src.experiments.training.trl.speech import Speech

    monkeypatch.setattr(tokenizer, "chat_template", template)
    speech = Speech(tokenizer, "calc", "some/model")

    speech.check(turns=1)
    with pytest.raises(TrainingError, match="chat template of some/model renders earlier") as told:
        speech.check(turns=2)
    assert "/hyperparameters/model_name" in str(told.value.remedy)


def test_a_template_that_cannot_be_used_is_refused(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from src.experiments.training.trl.speech import Speech

    monkeypatch.setattr(tokenizer, "chat_template", "{{ raise_exception('never') }}")
    with pytest.raises(TrainingError, match="template of some/model cannot be used: never"):
        Speech(tokenizer, "calc", "some/model").check(turns=1)


@pytest.mark.parametrize("template", [REFUSES_SYSTEM, DROPS_SYSTEM])
def test_without_a_place_for_instructions_they_begin_the_first_message(
    tokenizer: Any, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from src.experiments.training.trl.speech import Speech

    monkeypatch.setattr(tokenizer, "chat_template", template)
    speech = Speech(tokenizer, "calc", "some/model")
    speech.check(turns=3)
    messages = [{"role": "user", "content": "calc\n\n1+2"}]

    whole = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert speech.opening("1+2") == tokenizer(whole, add_special_tokens=False)["input_ids"]
    assert speech.whole(speech.reply("+4")) == "+4="


PLAIN = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": None, "repetition_penalty": 1.0}


@pytest.mark.parametrize("samples", [True, False])
def test_tokens_are_chosen_as_told_whatever_a_model_recommends(
    tokenizer: Any, samples: bool
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from src.experiments.training.heartbeat import Tally
    from src.experiments.training.trl.speaking import Speaker
    from src.experiments.training.trl.speech import Speech

    model = AutoModelForCausalLM.from_pretrained(newborn("multiturn_calculator"))
    contexts = 8 * [tokenizer("1+2=", add_special_tokens=False)["input_ids"]]
    speak = Speaker(model, Speech(tokenizer, ""), PLAIN, Tally(), samples=samples)

    def said() -> list[list[int]]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return speak(contexts, 8)

    expected = said()
    for name, value in {
        "repetition_penalty": 10.0,
        "min_p": 0.9,
        "min_new_tokens": 7,
        "no_repeat_ngram_size": 1,
        "suppress_tokens": expected[0][:1],
    }.items():
        setattr(model.generation_config, name, value)
        assert said() == expected, name
    assert model.generation_config.min_new_tokens == 7  # it is saved with the model


def test_the_end_that_the_model_says_is_not_said_again(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from src.experiments.training.trl.speech import Speech

    spaced = TEMPLATE.replace("<end>", " <end>")  # as Llama 2 has it
    monkeypatch.setattr(tokenizer, "chat_template", spaced)
    speech = Speech(tokenizer, "calc")

    assert speech.end not in speech.reply("+4")


@pytest.mark.parametrize(
    ("opening", "remedy"), [("12+34=", "max_completion_length to 4 at"), ("1+" * 9, "shorter ope")]
)
def test_a_dialogue_that_the_model_cannot_look_at_is_refused_before_it_speaks(
    tokenizer: Any, opening: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from src.experiments.tasks.tool_use import Calculation
    from src.experiments.training.trl.dialogues import lead
    from src.experiments.training.trl.speech import Speech

    monkeypatch.setattr(tokenizer, "chat_template", None)
    speech = Speech(tokenizer, "", positions=10)
    speak = Scripted(tokenizer, "42", end=speech.end)
    dialogue = Calculation(opening[:-1], 1)
    with pytest.raises(TrainingError, match="context is 10 tokens") as told:
        lead([dialogue], speech, speak, turns=1, budget=5)
    assert remedy in str(told.value.remedy)
    assert speak.turns


ENDING = 1
"""The number of <end>."""


@pytest.fixture
def ends_otherwise() -> Any:
    """A tokenizer whose chat template ends turns with another token than `eos_token`."""
    from transformers import AutoTokenizer

    folder = newborn("multiturn_calculator")
    found = AutoTokenizer.from_pretrained(folder, eos_token="<pad>")
    found.chat_template = TEMPLATE
    return found


def test_a_turn_ends_at_every_token_that_the_model_names(
    ends_otherwise: Any,
) -> None:
    from src.experiments.training.trl.speaking import Babbler
    from src.experiments.training.trl.speech import Speech

    tokenizer = ends_otherwise
    speech = Speech(tokenizer, "calc", endings=[ENDING])
    speech.check(turns=2)
    said = [*tokenizer("12", add_special_tokens=False)["input_ids"], ENDING]
    messages = [
        {"role": "system", "content": "calc"},
        {"role": "user", "content": "3*4"},
        {"role": "assistant", "content": "12"},
        {"role": "user", "content": "+1"},
    ]

    whole = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    tokens = [*speech.opening("3*4"), *said, *speech.reply("+1")]
    assert tokens == tokenizer(whole, add_special_tokens=False)["input_ids"]
    assert speech.endings == (tokenizer.eos_token_id, ENDING) == (0, 1)
    assert speech.turn([*said, 5]) == said
    assert [speech.said(each) for each in (said, said[:-1])] == ["12", "12"]
    assert [len(each) for each in Babbler(2, speech, seed=1)([[]] * 20, 9)] == [1] * 20


@pytest.mark.parametrize("turns", [1, 2])
def test_a_template_that_ends_turns_where_the_model_is_not_stopped_is_refused(
    ends_otherwise: Any, turns: int
) -> None:
    from src.experiments.training.trl.speech import Speech

    with pytest.raises(
        TrainingError, match="ends a turn with <end>, where the model does not stop"
    ) as told:
        Speech(ends_otherwise, "calc", "some/model").check(turns)
    assert "it stops at <pad>" in str(told.value)
    assert f"generation_config.json names {ENDING} too" in str(told.value.remedy)


def test_a_turn_that_was_cut_off_is_no_answer(tokenizer: Any) -> None:
    from src.experiments.tasks.arithmetic import Question, Sum
    from src.experiments.training.trl.dialogues import lead
    from src.experiments.training.trl.speech import Speech

    speech = Speech(tokenizer, "")
    earned = []
    for budget in (2, 3):
        speak = Scripted(tokenizer, "12", end=speech.end)
        (rollout,) = lead([Question(Sum(5, "+", 7))], speech, speak, turns=1, budget=budget)
        earned.append((rollout.length, rollout.dialogue.reward))

    assert earned == [(2, 0.0), (3, 1.0)]
