"""A model of some 75,000 parameters, built and trained here in seconds, for runs on a processor.

It imitates the dialogues that a task demonstrates, most of which end badly; what reinforcement
learning makes of it is the experiment. It is made once for a task and kept in the user's cache, so
that every run of every seed begins with the same model.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from safetensors import SafetensorError
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from transformers.utils.logging import disable_progress_bar

from ....config.language import TINY_POSITIONS
from ....domain.errors import StorageError, described
from ....domain.paths import models_made_here
from ....durability.files import json_text, make_directory, publishing
from ....durability.lock import FileLock
from ....tasks import Task, generator
from ...determinism import generators_restored, seed_generators, torch_threads
from ...heartbeat import Tally

logger = logging.getLogger(__name__)

RECIPE = 2
"""Counted up with every change that makes another model of the same task."""
PADDING, END, UNKNOWN = "<pad>", "<end>", "<unknown>"
PATIENCE_SECONDS = 600.0
"""How long a run waits for another one that makes the same model."""
COMPARED_DIALOGUES = 200
_IGNORED = -100
"""The label of a token that is not imitated."""


@dataclass(frozen=True)
class Pretraining:
    """How the tiny model is trained."""

    seed: int = 0
    width: int = 64
    layers: int = 2
    steps: int = 400
    batch: int = 128
    learning_rate: float = 3e-3
    warm_up: int = 20


def tiny_model(task: Task, name: str, tally: Tally, recipe: Pretraining | None = None) -> Path:
    """The folder of the task's tiny model, made where it is not there yet.

    Args:
        task: what its dialogues are about.
        name: the task's name.
        tally: counts steps of its training.
        recipe: how it is trained.

    Raises:
        StorageError: when it cannot be kept.
    """
    recipe = recipe or Pretraining()
    models = models_made_here()
    folder = models / f"tiny-{_readable(name)}-{_key(task, recipe)}"
    with _writing_to(models):
        make_directory(models)
        lock = FileLock(folder.with_suffix(".lock"), PATIENCE_SECONDS, waits_for_the_living=True)
        with lock:
            if not folder.is_dir():
                logger.info("training the tiny model of %s; it is kept in %s", name, folder)
                make_model(task, recipe, tally, folder)
    return folder


@contextmanager
def _writing_to(folder: Path) -> Iterator[None]:
    """Say what to do where a cache cannot be written.

    Raises:
        StorageError: then.
    """
    try:
        yield
    except (OSError, StorageError, SafetensorError) as error:
        raise StorageError(
            f"the tiny model cannot be kept: {described(error)}",
            where=str(folder),
            remedy="set XDG_CACHE_HOME to a folder that can be written and has room",
        ) from error


def _readable(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.rpartition(":")[2])


def _key(task: Task, recipe: Pretraining) -> str:
    facts = {
        "recipe": RECIPE,
        "pretraining": asdict(recipe),
        "alphabet": task.alphabet,
        "dialogues": _first_dialogues(task, recipe),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    return hashlib.sha256(json_text(facts).encode()).hexdigest()[:12]


def _first_dialogues(task: Task, recipe: Pretraining) -> list[list[str]]:
    """What the model will imitate tells one task from another, and from what it was before."""
    rng = generator(recipe.seed)
    return [task.demonstrate(rng) for _ in range(COMPARED_DIALOGUES)]


@contextmanager
def _apart(seed: int) -> Iterator[None]:
    """Draw and compute as nobody else does, whatever the run does besides."""
    disable_progress_bar()
    with generators_restored(), torch_threads(1):
        seed_generators(seed)
        yield


def make_model(task: Task, recipe: Pretraining, tally: Tally, folder: Path) -> None:
    """Build and train a model; its folder appears when it is complete."""
    with publishing(folder) as unfinished, _apart(recipe.seed):
        tokenizer = _tokenizer(task.alphabet)
        model = Qwen2ForCausalLM(_configuration(recipe, tokenizer))
        _imitate(model, tokenizer, task, recipe, tally)
        model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)


def _tokenizer(alphabet: str) -> PreTrainedTokenizerFast:
    """One token a character."""
    characters = [PADDING, END, UNKNOWN, *sorted(set(alphabet))]
    vocabulary = {character: number for number, character in enumerate(characters)}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=UNKNOWN))
    inner.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token=PADDING, eos_token=END, unk_token=UNKNOWN
    )


def _configuration(recipe: Pretraining, tokenizer: PreTrainedTokenizerFast) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=2 * recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=TINY_POSITIONS,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )


def _imitate(
    model: Qwen2ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    task: Task,
    recipe: Pretraining,
    tally: Tally,
) -> None:
    rng = generator(recipe.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.01)
    for step in range(recipe.steps):
        rise, fall = min(1.0, (step + 1) / recipe.warm_up), 1 - step / recipe.steps
        optimizer.param_groups[0]["lr"] = recipe.learning_rate * rise * fall
        demonstrations = [task.demonstrate(rng) for _ in range(recipe.batch)]
        loss = model(**_batch(demonstrations, tokenizer)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        tally.count += 1


def _batch(
    demonstrations: list[list[str]], tokenizer: PreTrainedTokenizerFast
) -> dict[str, torch.Tensor]:
    """Dialogues side by side; what the pupil says is imitated, what it is told is not."""
    rows = [_tokens_and_labels(each, tokenizer) for each in demonstrations]
    width = max(len(tokens) for tokens, _ in rows)
    padding = cast("int", tokenizer.pad_token_id)

    def padded(lists: list[list[int]], filler: int) -> torch.Tensor:
        return torch.tensor([each + [filler] * (width - len(each)) for each in lists])

    return {
        "input_ids": padded([tokens for tokens, _ in rows], padding),
        "labels": padded([labels for _, labels in rows], _IGNORED),
        "attention_mask": padded([[1] * len(tokens) for tokens, _ in rows], 0),
    }


def _tokens_and_labels(
    demonstration: list[str], tokenizer: PreTrainedTokenizerFast
) -> tuple[list[int], list[int]]:
    tokens: list[int] = []
    labels: list[int] = []
    for number, text in enumerate(demonstration):
        part: list[Any] = list(tokenizer(text, add_special_tokens=False)["input_ids"])
        is_said = number % 2 == 1
        part += [tokenizer.eos_token_id] * is_said
        tokens += part
        labels += part if is_said else [_IGNORED] * len(part)
    return tokens, labels
