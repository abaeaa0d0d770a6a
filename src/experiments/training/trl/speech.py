"""How a dialogue becomes tokens: through a tokenizer's chat template, or as bare text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_SOMETHING = "·"
"""Stands for a message whose text does not matter."""


class Speech:
    """Openings and replies as tokens, and tokens as what was said.

    Args:
        tokenizer: of the model.
        instructions: what a model with a chat template is told first; one without hears the
            opening alone.
    """

    def __init__(self, tokenizer: Any, instructions: str) -> None:
        self._tokenizer = tokenizer
        self._system = [{"role": "system", "content": instructions}]
        self._has_template = tokenizer.chat_template is not None
        self.end: int = tokenizer.eos_token_id
        self.padding: int = tokenizer.pad_token_id

    def opening(self, text: str) -> list[int]:
        """The prompt."""
        if not self._has_template:
            return self._tokens(text)
        return self._tokens(self._rendered([*self._system, _user(text)], answering=True))

    def reply(self, text: str) -> list[int]:
        """What stands between the end of one turn of the model and the beginning of the next."""
        if not self._has_template:
            return self._tokens(text)
        before = [*self._system, _user(_SOMETHING), {"role": "assistant", "content": _SOMETHING}]
        told = self._rendered(before, answering=False)
        after = self._rendered([*before, _user(text)], answering=True)
        tail = told.rpartition(_SOMETHING)[2].removeprefix(self._tokenizer.eos_token)
        return self._tokens(tail + after.removeprefix(told))

    def said(self, tokens: Sequence[int]) -> str:
        """The text of one turn of the model."""
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def whole(self, tokens: Sequence[int]) -> str:
        """The text of a whole dialogue, with the marks between turns."""
        text: str = self._tokenizer.decode(tokens)
        return text

    def _rendered(self, messages: list[dict[str, str]], *, answering: bool) -> str:
        text: str = self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=answering
        )
        return text

    def _tokens(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return tokens


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}
