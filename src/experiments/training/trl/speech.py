"""How a dialogue becomes tokens: through a tokenizer's chat template, or as bare text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from ...domain.errors import TrainingError

_ASKED, _SAID = "-", "·"
"""Stand for messages whose text does not matter."""
_THOUGHT = f"<think>\n{_SAID}\n</think>\n\n{_SAID}"
"""Stands for a turn of the model with thoughts before it, which some templates take out later."""

Message = dict[str, str]


class Speech:
    """Openings and replies as tokens, and tokens as what was said.

    Args:
        tokenizer: of the model.
        instructions: what a model with a chat template is told first; one without hears the
            opening alone.
        model_name: of the model, for errors.
    """

    def __init__(self, tokenizer: Any, instructions: str, model_name: str = "") -> None:
        self._tokenizer = tokenizer
        self._instructions = instructions
        self._model_name = model_name
        self._has_template = tokenizer.chat_template is not None
        self._has_system_role = self._has_template and self._tells_system()
        self.end: int = tokenizer.eos_token_id
        self.padding: int = tokenizer.pad_token_id

    def check(self, turns: int) -> None:
        """Make sure that dialogues of so many turns of the model can be told.

        Raises:
            TrainingError: when the chat template cannot be used, or, where there are several
                turns, renders earlier ones anew.
        """
        self.opening(_ASKED)
        if self._has_template and turns > 1:
            for said in (_SAID, _THOUGHT):
                self._between(said, _ASKED)

    def opening(self, text: str) -> list[int]:
        """The prompt."""
        if not self._has_template:
            return self._tokens(text)
        return self._tokens(self._rendered(self._opened(text), answering=True))

    def reply(self, text: str) -> list[int]:
        """What stands between the end of one turn of the model and the beginning of the next.

        Raises:
            TrainingError: when the chat template renders earlier turns anew.
        """
        return self._tokens(self._between(_SAID, text) if self._has_template else text)

    def said(self, tokens: Sequence[int]) -> str:
        """The text of one turn of the model."""
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def whole(self, tokens: Sequence[int]) -> str:
        """The text of a whole dialogue, with the marks between turns."""
        text: str = self._tokenizer.decode(tokens)
        return text

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
        before = [*self._opened(_ASKED), {"role": "assistant", "content": said}]
        told = self._rendered(before, answering=False)
        after = self._rendered([*before, _user(text)], answering=True)
        if _SAID not in told or not after.startswith(told):
            raise self._error("renders earlier turns of the model anew when something follows them")
        tail = told.rpartition(_SAID)[2].removeprefix(self._tokenizer.eos_token)
        return tail + after.removeprefix(told)

    def _error(self, what: str) -> TrainingError:
        return TrainingError(
            f"the chat template of {self._model_name or 'the model'} {what}",
            remedy="take a model whose template leaves what was said as it is, or save a copy of "
            "the model with such a template (chat_template.jinja), and give its folder "
            "(/hyperparameters/model_name)",
        )

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


def _user(text: str) -> Message:
    return {"role": "user", "content": text}
