"""What can be told of a folder with a language model from its files, without a learning library."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_INDEX = ".index.json"
WEIGHT_FILES = (
    "model.safetensors", f"model.safetensors{_INDEX}",
    "pytorch_model.bin", f"pytorch_model.bin{_INDEX}",
)  # fmt: skip
"""In the order in which transformers prefers them."""
TOKENIZERS = ("tokenizer.json", "*.model", "vocab.*", "*.tiktoken", "tekken.json", "*.spm")
SPEAKING = ("CausalLM", "LMHeadModel", "ForConditionalGeneration")
"""Ends of the names of architectures that generate text."""
POSITIONS = (
    "max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length",
    "seq_length",
)  # fmt: skip
"""What config.json calls the tokens that a model can look at, prompt and completion together."""
LONGEST_HEADER = 100 << 20
_LENGTH_BYTES = 8


class ModelFolderError(Exception):
    """A folder's model cannot be trained; says why."""


def check_model_folder(folder: Path) -> dict[str, Any]:
    """Refuse a folder whose model could not be loaded, or could not speak.

    Returns:
        what its config.json holds.

    Raises:
        ModelFolderError: saying what is missing or wrong, and in which file.
    """
    try:
        (folder / "config.json").stat()
        config = _json(folder / "config.json")
        check_architecture(config)
        for file in _weight_files(folder):
            _check_weights(file)
        _check_tokenizer(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise ModelFolderError(
            "there is no model: a folder with config.json, weights and tokenizer is needed"
        ) from None
    except OSError as error:
        name = Path(error.filename).name if error.filename else "the folder"
        raise ModelFolderError(f"{name} cannot be read ({error.strerror})") from error
    return config


def positions_of(config: Mapping[str, Any]) -> int | None:
    """How many tokens a model can look at; None where its config.json does not say.

    Args:
        config: what its config.json holds; where it has a part about text, that counts.
    """
    inner = config.get("text_config")
    known = {**config, **inner} if isinstance(inner, Mapping) else config
    found = (known.get(name) for name in POSITIONS)
    return next((each for each in found if type(each) is int and each > 0), None)


def check_architecture(config: Mapping[str, Any]) -> None:
    """Refuse a model that does not go on with a text.

    Args:
        config: what its config.json holds.

    Raises:
        ModelFolderError: naming its architecture.
    """
    architectures = config.get("architectures")
    if not isinstance(architectures, list | tuple) or not architectures:
        raise ModelFolderError("its config.json names no architecture (architectures)")
    name = f"{architectures[0]!s:.80}"
    if not name.endswith(SPEAKING) or config.get("is_encoder_decoder"):
        raise ModelFolderError(f"it is a {name}: a causal language model is needed")


def is_index(name: str) -> bool:
    """Whether one of the `WEIGHT_FILES` names others that hold the weights."""
    return name.endswith(_INDEX)


def shards_of(index: Path) -> list[str]:
    """The names of the files over which an index says that weights are spread.

    Raises:
        ModelFolderError: when it is no index.
    """
    shards = _json(index).get("weight_map")
    return sorted(set(map(str, shards.values()))) if isinstance(shards, dict) else []


def _json(path: Path) -> dict[str, Any]:
    _check_permission(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise ModelFolderError(f"its {path.name} is not JSON") from None
    if not isinstance(found, dict):
        raise ModelFolderError(f"its {path.name} is not a JSON object")
    return found


def _weight_files(folder: Path) -> Iterator[Path]:
    """The files that hold the weights; those that an index names must all be there."""
    found = next((name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if found is None:
        raise ModelFolderError("it has no weights (model.safetensors)")
    for name in shards_of(folder / found) if is_index(found) else (found,):
        if not (folder / name).is_file():
            raise ModelFolderError(f"its weights are incomplete: {name:.80} is missing")
        yield folder / name


def _check_tokenizer(folder: Path) -> None:
    found = [path for pattern in TOKENIZERS for path in folder.glob(pattern)]
    if not found:
        raise ModelFolderError("it has no tokenizer (tokenizer.json, vocab.* or *.model)")
    for path in found:
        _check_permission(path)


def _check_permission(path: Path) -> None:
    if path.exists() and not os.access(path, os.R_OK):
        raise ModelFolderError(f"{path.name} may not be read (permission denied)")


def _check_weights(path: Path) -> None:
    """A safetensors file holds what its header says: it is not torn, and no page of a web server.

    https://github.com/huggingface/safetensors#format: eight bytes with the header's length, the
    header as JSON, the tensors.
    """
    _check_permission(path)
    if path.suffix != ".safetensors":
        return
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > min(size - _LENGTH_BYTES, LONGEST_HEADER):
            raise ModelFolderError(f"{path.name} is damaged: no header")
        try:
            header = json.loads(file.read(length))
            ends = [each["data_offsets"][1] for name, each in header.items() if name[:2] != "__"]
            end = _LENGTH_BYTES + length + max(ends, default=0)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise ModelFolderError(f"{path.name} is damaged: no header") from None
    if end != size:
        raise ModelFolderError(f"{path.name} is damaged: {size:,} bytes instead of {end:,}")
