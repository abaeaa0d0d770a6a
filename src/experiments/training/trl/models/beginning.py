"""What a run begins with: the fingerprint of a model and its tokenizer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch

from ....domain.errors import TrainingError
from ....durability.files import json_text
from .loading import Source
from .saving import parameters_sha256

_OF_A_CALL = ("truncation", "padding")
"""What a tokenizer keeps of how it was called last."""
_SHOWN_DIGITS = 12


def beginning_of(model: torch.nn.Module, source: Source) -> dict[str, str]:
    """A model's name, SHA-256 of its parameters and tokenizer, the commit where it is a hub's."""
    found = {
        "name": source.name,
        "parameters_sha256": parameters_sha256(model),
        "tokenizer_sha256": tokenizer_sha256(source.tokenizer),
    }
    return found if source.commit is None else {**found, "commit": source.commit}


def tokenizer_sha256(tokenizer: Any) -> str:
    """SHA-256 of how text becomes tokens, of the special tokens, and of the chat template."""
    facts = {
        "rules": _rules(tokenizer),
        "special": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        "end": tokenizer.eos_token_id,
        "padding": tokenizer.pad_token_id,
        "chat_template": tokenizer.chat_template,
    }
    return hashlib.sha256(json_text(facts).encode()).hexdigest()


def _rules(tokenizer: Any) -> Any:
    inner = getattr(tokenizer, "backend_tokenizer", None)
    if inner is None:  # one in Python tells its vocabulary alone
        return tokenizer.get_vocab()
    rules = json.loads(inner.to_str())
    return {name: value for name, value in rules.items() if name not in _OF_A_CALL}


def why_another(
    before: Mapping[str, str] | None, now: Mapping[str, str], model_name: str
) -> str | None:
    """Why going on is inexact where another model has taken the place of the first; else None.

    The parameters that are trained come from the checkpoint; the reference model does not, nor does
    what is no parameter.

    Args:
        before: what the run began with; None where that was not recorded.
        now: what the name means now.
        model_name: the name.

    Raises:
        TrainingError: when the tokenizer is another one: tokens would mean something else.
    """
    before = before or now
    if before["tokenizer_sha256"] != now["tokenizer_sha256"]:
        raise TrainingError(
            f"the tokenizer of {model_name!a} is not the one with which the run began "
            f"({_changed(before, now, 'tokenizer_sha256')})",
            remedy="put the first one back in its place; or begin a new experiment",
        )
    name = next((name for name in ("parameters_sha256", "commit") if _differ(before, now, name)), 0)
    if not name:
        return None
    told = _changed(before, now, str(name))
    return f"the model {model_name!a} is not the one with which the run began ({told})"


def _differ(before: Mapping[str, str], now: Mapping[str, str], name: str) -> bool:
    return before.get(name) != now.get(name)


def _changed(before: Mapping[str, str], now: Mapping[str, str], name: str) -> str:
    old, new = (str(each.get(name))[:_SHOWN_DIGITS] for each in (before, now))
    return f"{name} {old}, now {new}"
