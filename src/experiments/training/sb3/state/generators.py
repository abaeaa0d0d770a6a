"""The generators of a whole process: Python's, NumPy's, and PyTorch's on every device."""

from __future__ import annotations

import random

import numpy as np
import torch

from .plain import Plain, capture, from_tensor_bytes, restore, tensor_bytes


def capture_process_generators() -> Plain:
    """All of them: training draws from them, and environments may."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    of_torch = tensor_bytes({"cpu": torch.get_rng_state(), "cuda": cuda})
    return capture((random.getstate(), np.random.get_state(legacy=False))), of_torch


def restore_process_generators(state: Plain) -> None:
    """Put them back."""
    others, of_torch = state
    python, legacy = restore(None, others)
    random.setstate(python)
    np.random.set_state(legacy)
    told = from_tensor_bytes(of_torch)
    torch.set_rng_state(told["cpu"])
    if told["cuda"]:
        torch.cuda.set_rng_state_all(told["cuda"])
