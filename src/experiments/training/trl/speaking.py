"""What a model says next: sampled or most likely, and the tokens of one that knows nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from ...tasks import generator
from ..heartbeat import Tally
from .speech import Speech

SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
"""Hyperparameters that decide how a token is drawn."""


class Counting(StoppingCriteria):  # type: ignore[misc]
    """Counts each token as work; stops nothing."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        """Count a token of every sequence."""
        del scores, kwargs
        self._tally.count += 1
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


class Speaker:
    """A model that speaks, to contexts of any lengths side by side.

    Args:
        model: what `generate` is called on.
        speech: its tokens.
        settings: the run's hyperparameters.
        tally: counts tokens.
        samples: whether tokens are drawn; else each is the most likely one.
    """

    def __init__(
        self,
        model: Any,
        speech: Speech,
        settings: Mapping[str, Any],
        tally: Tally,
        *,
        samples: bool = True,
    ) -> None:
        self._model = model
        self._speech = speech
        self._drawing = {name: settings[name] for name in SAMPLING} if samples else {}
        self._samples = samples
        self._counting = StoppingCriteriaList([Counting(tally)])

    def __call__(self, contexts: list[list[int]], most: int) -> list[list[int]]:
        """Speak, until the end of a turn or for `most` tokens."""
        width = max(map(len, contexts))
        padding = self._speech.padding
        padded = [[padding] * (width - len(each)) + each for each in contexts]
        known = [[0] * (width - len(each)) + [1] * len(each) for each in contexts]
        device = self._model.device
        with torch.no_grad(), _unadvised(self._model):
            whole = self._model.generate(
                input_ids=torch.tensor(padded, device=device),
                attention_mask=torch.tensor(known, device=device),
                generation_config=self._configuration(most),
                stopping_criteria=self._counting,
            )
        return [self._speech.turn(tokens) for tokens in whole[:, width:].tolist()]

    def _configuration(self, most: int) -> GenerationConfig:
        return GenerationConfig(
            max_new_tokens=most,
            do_sample=self._samples,
            pad_token_id=self._speech.padding,
            eos_token_id=list(self._speech.endings),
            bos_token_id=None,
            **self._drawing,
        )


@contextmanager
def _unadvised(model: Any) -> Iterator[None]:
    """Without what a model recommends of itself: `generate` would heed it wherever it is told
    nothing, and draw from other probabilities than those that are learned from."""
    recommended, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = recommended


class Babbler:
    """Says tokens drawn uniformly from the vocabulary: what a policy that knows nothing earns."""

    def __init__(self, vocabulary: int, speech: Speech, seed: int) -> None:
        self._vocabulary = vocabulary
        self._speech = speech
        self._rng = generator(seed)

    def __call__(self, contexts: list[list[int]], most: int) -> list[list[int]]:
        """Babble, until the end of a turn comes by chance or for `most` tokens."""
        return [self._turn(most) for _ in contexts]

    def _turn(self, most: int) -> list[int]:
        tokens: list[int] = []
        while len(tokens) < most and not self._speech.is_whole(tokens):
            tokens.append(self._rng.randrange(self._vocabulary))
        return tokens
