"""Imported once by the server that forks training processes: pays for the slow imports.

Nothing here starts CUDA or counts its devices: a process that was forked after that could not use
it, and would not see the devices that its own environment variables choose.
"""

from __future__ import annotations

import os

# whatever a module asks about CUDA while it is imported, NVML answers
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")

from collections.abc import Iterator
from contextlib import contextmanager

import gymnasium  # noqa: F401
import stable_baselines3  # noqa: F401
import torch

from . import job, rehearsal  # noqa: F401
from .sb3 import backend  # noqa: F401
from .sb3.compiler import spare_compiler
from .sb3.patching import wrapped


def warm_up() -> None:
    """Take one step of Adam, which prepares what only the first step of a process waits for."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([weight])
    torch.autograd.backward((weight * 2.0).sum())
    with _accelerators_hidden():
        optimizer.step()


@contextmanager
def _accelerators_hidden() -> Iterator[None]:
    """A step asks whether a CUDA graph is being captured, which starts CUDA where there is one."""
    with (
        wrapped(torch.cuda, "is_available", lambda _: lambda: False),
        wrapped(torch.accelerator, "current_accelerator", lambda _: lambda **_: None),
    ):
        yield


torch.set_num_threads(1)
spare_compiler()
warm_up()
