"""Where a run's language model comes from: made here, a folder, or a hub."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer

from ...config.language import is_local
from ...domain.errors import TrainingError, described
from ...tasks import Task
from ..heartbeat import Tally
from .speech import Speech
from .tiny_model import tiny_model

TINY = "tiny"
HUB_SECONDS = "20"
"""How long a hub may take to answer."""


@dataclass(frozen=True)
class Source:
    """A model that is there to be loaded."""

    path: str
    """A folder, or an id that the hub or its cache knows."""
    tokenizer: Any
    name: str
    """As the experiment file has it."""


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
        path = str(Path(model_name).expanduser())
    else:
        path = model_name
    try:
        AutoConfig.from_pretrained(path)
        tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"the model {model_name!a} cannot be loaded: {described(error)}"[:400],
            remedy="give a folder with a model, a hub's id that can be reached or is in its cache, "
            'or "tiny" (/hyperparameters/model_name)',
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Source(path, tokenizer, model_name)


def speech_of(source: Source, task: Task) -> Speech:
    """How a model is spoken to about a task.

    Raises:
        TrainingError: when its chat template is of no use for the task's dialogues.
    """
    speech = Speech(source.tokenizer, task.instructions, source.name)
    speech.check(task.turns)
    return speech
