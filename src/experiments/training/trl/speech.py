"""How a dialogue becomes tokens: through a tokenizer's chat template, or as bare text."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any

from jinja2 import TemplateError

from ...domain.errors import TrainingError

_ASKED, _SAID = "-", "·"
"""Stand for messages whose text does not matter."""
_THOUGHT = f"<think>\n{_SAID}\n</think>\n\n{_SAID}"
"""Stands for a turn of the model with thoughts before it, which some templates take out later."""
_REMEDY = (
    "take a model whose template leaves what was said as it is, or save a copy of "
    "the model with such a template (chat_template.jinja), and give its folder "
    "(/hyperparameters/model_name)"
)

Message = dict[str, str]


class Speech:
    """Openings and replies as tokens, and tokens as what was said.

    Args:
        tokenizer: of the model.
        instructions: what a model with a chat template is told first; one without hears the
            opening alone.
        model_name: of the model, for errors.
        endings: tokens that end a turn beside the tokenizer's own.
        positions: tokens that the model can look at; None where nobody knows.
    """

    def __init__(
        self,
        tokenizer: Any,
        instructions: str,
        model_name: str = "",
        endings: Collection[int] = (),
        positions: int | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._instructions = instructions
        self._model_name = model_name
        self._positions = positions
        self._has_template = tokenizer.chat_template is not None
        self._has_system_role = self._has_template and self._tells_system()
        self.end: int = tokenizer.eos_token_id
        self.endings = (self.end, *sorted({*endings} - {self.end}))
        """All tokens that end a turn, as TRL has them."""
        self.padding: int = tokenizer.pad_token_id

    def check(self, turns: int) -> None:
        """Make sure that dialogues of so many turns of the model can be told.

        Raises:
            TrainingError: when the chat template cannot be used, ends the model's turns with a
                token at which the model is not stopped, or, where there are several turns, renders
                earlier ones anew.
        """
        self.opening(_ASKED)
        if self._has_template:
            self._check_ending()
        if self._has_template and turns > 1:
            for said in (_SAID, _THOUGHT):
                self._between(said, _ASKED)

    def opening(self, text: str) -> list[int]:
        """The prompt."""
        if not self._has_template:
            return self._tokens(text)
        return self._tokens(self._rendered(self._opened(text), answering=True))

    def prompts(self, texts: Iterable[str], budget: int) -> list[list[int]]:
        """Prompts that leave room for completions of `budget` tokens.

        Raises:
            TrainingError: when one does not.
        """
        found = [self.opening(text) for text in texts]
        longest = max(map(len, found), default=0)
        if self._positions is not None and longest + budget > self._positions:
            raise self._no_room(longest, budget, self._positions)
        return found

    def reply(self, text: str) -> list[int]:
        """What stands between the end of one turn of the model and the beginning of the next.

        Raises:
            TrainingError: when the chat template renders earlier turns anew.
        """
        return self._tokens(self._between(_SAID, text) if self._has_template else text)

    def turn(self, tokens: Sequence[int]) -> list[int]:
        """The tokens up to the end of the first turn, and that end; all where none ends."""
        ends = (place for place, token in enumerate(tokens) if token in self.endings)
        return list(tokens[: next(ends, len(tokens)) + 1])

    def is_whole(self, turn: Sequence[int]) -> bool:
        """Whether a turn was brought to its end."""
        return bool(turn) and turn[-1] in self.endings

    def said(self, tokens: Sequence[int]) -> str:
        """The text of one turn of the model."""
        inner = tokens[:-1] if self.is_whole(tokens) else tokens
        text: str = self._tokenizer.decode(inner, skip_special_tokens=True)
        return text

    def whole(self, tokens: Sequence[int]) -> str:
        """The text of a whole dialogue, with the marks between turns."""
        text: str = self._tokenizer.decode(tokens)
        return text

    def _no_room(self, longest: int, budget: int, positions: int) -> TrainingError:
        remedy = (
            f"set max_completion_length to {positions - longest} at most "
            "(/hyperparameters/max_completion_length)"
            if longest < positions
            else (
                "take a task with shorter openings, or a model with a longer context "
                "(/hyperparameters/model_name)"
            )
        )
        return TrainingError(
            f"a prompt of {longest} tokens and a completion of {budget} do not fit "
            f"{self._model_name or 'the model'}, whose context is {positions} tokens",
            remedy=remedy,
        )

    def _tells_system(self) -> bool:
        """Whether the template has a place for instructions; some refuse them, some drop them."""
        try:
            text = self._rendered([_system(_SAID), _user(_ASKED)], answering=True)
        except TrainingError:
            return False
        return _SAID in text

    def _opened(self, text: str) -> list[Message]:
        if self._has_system_role:
            return [_system(self._instructions), _user(text)]
        return [_user(f"{self._instructions}\n\n{text}")]

    def _between(self, said: str, text: str) -> str:
        """What a template writes after a turn of the model, up to where the next begins."""
        before = [*self._opened(_ASKED), _assistant(said)]
        told = self._rendered(before, answering=False)
        after = self._rendered([*before, _user(text)], answering=True)
        if _SAID not in told or not after.startswith(told):
            raise self._error(
                "renders earlier turns of the model differently when something follows them"
            )
        return self._after_ending(told.rpartition(_SAID)[2]) + after.removeprefix(told)

    def _after_ending(self, closing: str) -> str:
        """What a template writes after a turn, without the end that the model says itself."""
        for text in self._tokenizer.convert_ids_to_tokens(list(self.endings)):
            if closing.lstrip().startswith(text):
                return closing.lstrip().removeprefix(text)
        return closing

    def _check_ending(self) -> None:
        """Make sure that the model is stopped where the template ends its turns.

        Raises:
            TrainingError: when it would speak on, and all that it says be cut off.
        """
        told = ""
        with suppress(TrainingError):  # some refuse to end with the model: of one turn no harm
            told = self._rendered([*self._opened(_ASKED), _assistant(_SAID)], answering=False)
        closing = self._tokens(told.rpartition(_SAID)[2]) if _SAID in told else []
        ending = next((token for token in closing if token in self._marks()), None)
        if ending is not None and ending not in self.endings:
            name, *stops = self._tokenizer.convert_ids_to_tokens([ending, *self.endings])
            raise self._error(
                f"ends a turn with {name}, where the model does not stop; it stops at "
                f"{' and '.join(stops)}",
                f"save a copy of the model whose generation_config.json names {ending} too "
                "(eos_token_id), and give its folder (/hyperparameters/model_name)",
            )

    def _marks(self) -> set[int]:
        """Tokens that are no text."""
        known = {*self._tokenizer.get_added_vocab().values(), *self._tokenizer.all_special_ids}
        return known - {self._tokenizer.unk_token_id}

    def _error(self, what: str, remedy: str = _REMEDY) -> TrainingError:
        name = self._model_name or "the model"
        return TrainingError(f"the chat template of {name} {what}", remedy=remedy)

    def _rendered(self, messages: list[Message], *, answering: bool) -> str:
        try:
            text: str = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=answering
            )
        except TemplateError as error:
            raise self._error(f"cannot be used: {error}"[:200]) from error
        return text

    def _tokens(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return tokens


def _system(text: str) -> Message:
    return {"role": "system", "content": text}


def _assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def _user(text: str) -> Message:
    return {"role": "user", "content": text}
