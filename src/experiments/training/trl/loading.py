"""Where a run's language model comes from: made here, a folder, or a hub."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from ...config.language import TINY, is_local, model_folder
from ...config.model_folder import (
    ModelFolderError,
    check_architecture,
    check_model_folder,
    positions_of,
)
from ...domain.errors import TrainingError, described
from ...tasks import Task
from ..heartbeat import Tally
from .speech import Speech
from .tiny_model import tiny_model

HUB_SECONDS = "20"
"""How long a hub may take to answer."""
LONGEST_REASON = 300


@dataclass(frozen=True)
class Source:
    """A model that is there to be loaded."""

    path: str
    """A folder, or an id that the hub or its cache knows."""
    tokenizer: Any
    name: str
    """As the experiment file has it."""
    endings: tuple[int, ...]
    """Tokens at which the model's own configuration ends a turn."""
    positions: int | None
    """Tokens that it can look at, where its configuration says so."""


def source_of(model_name: str, task: Task, task_name: str, tally: Tally) -> Source:
    """Find a model, and load its tokenizer.

    Raises:
        TrainingError: when there is none, or the hub cannot be reached.
    """
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", HUB_SECONDS)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads and a fork do not mix
    if model_name == TINY:
        path = str(tiny_model(task, task_name, tally))
    elif is_local(model_name):
        path = str(model_folder(model_name))
    else:
        path = model_name
    try:
        if is_local(model_name):
            check_model_folder(Path(path))
        config = AutoConfig.from_pretrained(path)
        check_architecture(config.to_dict())
        tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
        _check_tokenizer(tokenizer, config.get_text_config().vocab_size)
        endings = _endings(path)
    except Exception as error:  # the libraries raise anything, tokenizers a bare Exception
        raise _cannot_be_loaded(model_name, error) from error
    return Source(path, tokenizer, model_name, endings, positions_of(config.to_dict()))


def _endings(path: str) -> tuple[int, ...]:
    """The tokens that end a text by a model's generation_config.json, or where it has none, by its
    config.json; many chat models name there what the tokenizer's `eos_token` is not."""
    try:
        found = GenerationConfig.from_pretrained(path).eos_token_id
    except OSError:  # as where the library loads the model
        found = GenerationConfig.from_pretrained(path, config_file_name="config.json").eos_token_id
    if found is None:
        return ()
    return (found,) if isinstance(found, int) else tuple(found)


def _check_tokenizer(tokenizer: Any, vocabulary: int) -> None:
    """Make sure that a turn can end, and be filled up.

    Raises:
        ModelFolderError: saying why it cannot.
    """
    if tokenizer.eos_token is None:
        raise ModelFolderError("its tokenizer has no token for the end of a turn (eos_token)")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    for name in ("eos_token", "pad_token"):
        number = getattr(tokenizer, f"{name}_id")
        if number >= vocabulary:  # the library adds one of its own where the files name none
            raise ModelFolderError(
                f"the {name} of its tokenizer is number {number}, and the model knows "
                f"{vocabulary} tokens: they do not belong together"
            )


def _cannot_be_loaded(model_name: str, error: Exception) -> TrainingError:
    """One line, whatever the libraries say."""
    reason = str(error) if isinstance(error, ModelFolderError) else described(error)
    return TrainingError(
        f"the model {model_name!a} cannot be loaded: {' '.join(reason.split())[:LONGEST_REASON]}",
        remedy="give a folder with a model, a hub's id that can be reached or is in its cache, "
        'or "tiny" (/hyperparameters/model_name)',
    )


def speech_of(source: Source, task: Task) -> Speech:
    """How a model is spoken to about a task.

    Raises:
        TrainingError: when its chat template is of no use for the task's dialogues.
    """
    speech = Speech(
        source.tokenizer, task.instructions, source.name, source.endings, source.positions
    )
    speech.check(task.turns)
    return speech
