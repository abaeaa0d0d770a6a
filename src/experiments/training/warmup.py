"""Imported once by the server that forks training processes: pays for the slow imports.

Nothing here touches CUDA: a process that was forked after that could not use it.
"""

from __future__ import annotations

import os

# without it, the optimiser's question whether CUDA exists would start CUDA
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")

import gymnasium  # noqa: F401
import stable_baselines3  # noqa: F401
import torch

from . import job  # noqa: F401
from .sb3 import backend  # noqa: F401


def warm_up() -> None:
    """Take one step of Adam, which imports a second's worth of modules when first called."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([weight])
    torch.autograd.backward((weight * 2.0).sum())
    optimizer.step()


torch.set_num_threads(1)
warm_up()
