"""The generators of a whole process: Python's, NumPy's, and PyTorch's on every device."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from .plain import Plain, capture, restore


def capture_process_generators() -> Plain:
    """All of them: training draws from them, and environments may.

    They are told around every step of an environment that is tried out, so this is quick.
    """
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    return {
        "python": random.getstate(),  # plain numbers
        "numpy": capture(np.random.get_state(legacy=False)),
        "torch": torch.get_rng_state().numpy().tobytes(),
        "cuda": [state.numpy().tobytes() for state in cuda],
    }


def restore_process_generators(state: Any) -> None:
    """Put them back."""
    random.setstate(state["python"])
    np.random.set_state(restore(None, state["numpy"]))
    torch.set_rng_state(_tensor(state["torch"]))
    if state["cuda"]:
        torch.cuda.set_rng_state_all([_tensor(each) for each in state["cuda"]])


def _tensor(data: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)
