"""What is kept of a trained model: one zip, and a fingerprint."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch

from ....durability.files import replacing


def save_model(model: Any, tokenizer: Any, path: Path) -> None:
    """Write a zip of what `save_pretrained` makes; equal models make equal files."""
    with tempfile.TemporaryDirectory(prefix="model-", dir=path.parent) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for file in sorted(Path(folder).iterdir()):
                archive.write(file, file.name)


def parameters_sha256(model: torch.nn.Module) -> str:
    """SHA-256 of the sorted names and raw bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(b"\0")
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(raw.numpy().tobytes())
    return digest.hexdigest()
