"""The process-wide state that training and evaluation must not take from each other."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from gymnasium import spaces


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Compute with `count` threads inside the block: sums depend on how they are split."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def generators_restored(action_spaces: Sequence[spaces.Space[object]] = ()) -> Iterator[None]:
    """Leave Python's, NumPy's, torch's and the action spaces' generators as they were."""
    python, numpy_state = random.getstate(), np.random.get_state()
    torch_state = torch.get_rng_state()
    cuda_used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    cuda = torch.cuda.get_rng_state_all() if cuda_used else []
    sampling = [space.np_random.bit_generator.state for space in action_spaces]
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)
        torch.set_rng_state(torch_state)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
        for space, state in zip(action_spaces, sampling, strict=True):
            space.np_random.bit_generator.state = state


@contextmanager
def training_modes_restored(network: torch.nn.Module) -> Iterator[None]:
    """Leave every module of a network in the mode (training or not) that it was in."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def seed_generators(seed: int) -> None:
    """Seed Python's, NumPy's and torch's generators."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
