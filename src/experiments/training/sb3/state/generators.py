"""The generators of a whole process: Python's and NumPy's, and PyTorch's on every device."""

from __future__ import annotations

import random

import numpy as np
import torch

from .plain import Plain, capture, from_tensor_bytes, restore, tensor_bytes


def capture_process_generators() -> Plain:
    """Python's and NumPy's, from which environments may draw."""
    return capture((random.getstate(), np.random.get_state(legacy=False)))


def restore_process_generators(state: Plain) -> None:
    """Put them back."""
    python, legacy = restore(None, state)
    random.setstate(python)
    np.random.set_state(legacy)


def capture_torch_generators() -> bytes:
    """PyTorch's, those of the GPUs included where they are in use."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    return tensor_bytes({"cpu": torch.get_rng_state(), "cuda": cuda})


def restore_torch_generators(state: bytes) -> None:
    """Put them back."""
    told = from_tensor_bytes(state)
    torch.set_rng_state(told["cpu"])
    if told["cuda"]:
        torch.cuda.set_rng_state_all(told["cuda"])
