"""Folders with language models: what their files tell before anything is loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.experiments.config.model_folder import ModelFolderError, check_model_folder, positions_of

HEADER = json.dumps(
    {"__metadata__": {"format": "pt"}, "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
).encode()
WEIGHTS = len(HEADER).to_bytes(8, "little") + HEADER + bytes(8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model as far as its files tell."""
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["Qwen2ForCausalLM"]}))
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    (tmp_path / "tokenizer.json").write_text("{}")
    return tmp_path


def config(**content: Any) -> Callable[[Path], object]:
    return lambda folder: (folder / "config.json").write_text(json.dumps(content))


def sharded(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": shards}))


@pytest.mark.parametrize(
    ("content", "positions"),
    [
        ({"max_position_embeddings": 2048}, 2048),
        ({"n_positions": 32, "n_ctx": 64}, 32),
        ({"text_config": {"max_position_embeddings": 8192}}, 8192),
        ({"max_position_embeddings": None}, None),
        ({"max_position_embeddings": True}, None),
        ({"n_positions": 0}, None),
        ({}, None),
    ],
)
def test_how_much_a_model_can_look_at(content: dict[str, Any], positions: int | None) -> None:
    assert positions_of(content) == positions


def test_a_whole_model_is_accepted_in_one_file_and_in_several(folder: Path) -> None:
    check_model_folder(folder)
    sharded(folder)
    (folder / "model-2.safetensors").write_bytes(WEIGHTS)
    check_model_folder(folder)


def test_weights_are_those_that_transformers_prefers(folder: Path) -> None:
    sharded(folder)
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelFolderError, match=r"model-2\.safetensors is missing"):
        check_model_folder(folder)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "there is no model"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json is not JSON"),
        (
            lambda folder: (folder / "config.json").write_text("[]"),
            "config.json is not a JSON object",
        ),
        (config(), "names no architecture"),
        (config(architectures=["BertForMaskedLM"]), "a BertForMaskedLM: a causal language model"),
        (config(architectures=["ViTForImageClassification"]), "a ViTForImageClassification"),
        (config(architectures=["BertModel"]), "it is a BertModel"),
        (
            config(architectures=["T5ForConditionalGeneration"], is_encoder_decoder=True),
            "it is a T5ForConditionalGeneration",
        ),
        (lambda folder: (folder / "model.safetensors").unlink(), "it has no weights"),
        (sharded, "its weights are incomplete: model-2.safetensors is missing"),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(WEIGHTS[:-3]),
            r"model.safetensors is damaged: 1\d\d bytes instead of 1\d\d",
        ),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b""),
            "model.safetensors is damaged: no header",
        ),
        (
            lambda folder: (folder / "model.safetensors").write_text("version https://git-lfs"),
            "model.safetensors is damaged: no header",
        ),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(
                (4).to_bytes(8, "little") + b"nope"
            ),
            "model.safetensors is damaged: no header",
        ),
        (lambda folder: (folder / "tokenizer.json").unlink(), "it has no tokenizer"),
    ],
)
def test_what_is_missing_or_wrong_is_told_in_a_line(
    folder: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(folder)

    with pytest.raises(ModelFolderError, match=message) as caught:
        check_model_folder(folder)
    assert "\n" not in str(caught.value)


def test_a_place_that_is_no_folder_is_told(folder: Path) -> None:
    with pytest.raises(ModelFolderError, match="there is no model"):
        check_model_folder(folder / "tokenizer.json")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["", "config.json", "model.safetensors", "tokenizer.json"])
def test_what_may_not_be_read_is_told(folder: Path, name: str) -> None:
    (folder / name).chmod(0)
    try:
        with pytest.raises(ModelFolderError, match="read"):
            check_model_folder(folder)
    finally:
        (folder / name).chmod(0o700)
