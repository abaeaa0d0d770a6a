"""Where a run's language model comes from: made here, a folder, or a hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from ....config.language import TINY, is_local, model_folder
from ....config.model_folder import (
    ModelFolderError,
    check_architecture,
    check_model_folder,
    positions_of,
)
from ....domain.errors import TrainingError, described
from ....tasks import Task
from ...heartbeat import Tally
from ..speech import Speech
from .commits import commit_of
from .hub import GIVE_ANOTHER, in_a_line, snapshot_of, unloadable
from .tiny_model import tiny_model

_REMOTE_CODE = "trust_remote_code"
"""What the library, told not to, would have us allow before it executes a model's own code; told
nothing it asks on the terminal."""


@dataclass(frozen=True)
class Source:
    """A model that is there to be loaded."""

    folder: Path
    """Where it lies; nothing is loaded from anywhere else."""
    tokenizer: Any
    name: str
    """As the experiment file has it."""
    endings: tuple[int, ...]
    """Tokens at which the model's own configuration ends a turn."""
    positions: int | None
    """Tokens that it can look at, where its configuration says so."""

    @property
    def commit(self) -> str | None:
        """The hub's, where it is a hub's."""
        return commit_of(self.folder)


def model_found(
    model_name: str,
    task: Task,
    task_name: str,
    tally: Tally,
    *,
    with_weights: bool = True,
    commit: str | None = None,
) -> Path:
    """The folder with a model: made here, the user's own, or of the hub's cache.

    Args:
        model_name: as the experiment file has it.
        task: for which the tiny model is made.
        task_name: the task's name.
        tally: counts what is done.
        with_weights: whether those of a hub's model are needed, too.
        commit: of a hub's model; None for the newest.

    Raises:
        TrainingError: when there is none, or the hub cannot be reached.
        StorageError: when one made here cannot be kept.
    """
    if model_name == TINY:
        return tiny_model(task, task_name, tally)
    if not is_local(model_name):
        return snapshot_of(model_name, tally, commit, with_weights=with_weights)
    folder = model_folder(model_name)
    with _telling(model_name):
        check_model_folder(folder)
    return folder


def source_of(model_name: str, folder: Path) -> Source:
    """Load what is known of a model, and its tokenizer.

    Raises:
        TrainingError: when that cannot be done.
    """
    with _telling(model_name):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        check_architecture(config.to_dict())
        tokenizer = AutoTokenizer.from_pretrained(
            folder, padding_side="left", trust_remote_code=False
        )
        _check_tokenizer(tokenizer, config.get_text_config().vocab_size)
        endings = _endings(folder)
    return Source(folder, tokenizer, model_name, endings, positions_of(config.to_dict()))


@contextmanager
def _telling(model_name: str) -> Iterator[None]:
    """Say that a model cannot be loaded.

    Raises:
        TrainingError: then.
    """
    try:
        yield
    except Exception as error:  # the libraries raise anything, tokenizers a bare Exception
        raise _cannot_be_loaded(model_name, error) from error


def _endings(folder: Path) -> tuple[int, ...]:
    """The tokens that end a text by a model's generation_config.json, or where it has none, by its
    config.json; many chat models name there what the tokenizer's `eos_token` is not."""
    try:
        found = GenerationConfig.from_pretrained(folder).eos_token_id
    except OSError:  # as where the library loads the model
        found = GenerationConfig.from_pretrained(
            folder, config_file_name="config.json"
        ).eos_token_id
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
    if _REMOTE_CODE in reason:  # the library's remedy is none here
        reason = "it needs code of its own to be executed (auto_map), which is never done"
    return unloadable(model_name, in_a_line(reason), GIVE_ANOTHER)


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
