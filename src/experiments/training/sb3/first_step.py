"""What a process waits for at the first step of an optimiser, and at no later one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .patching import wrapped


def warm_up() -> None:
    """Take one step of Adam, which prepares what only the first step of a process waits for.

    CUDA is not started by it.
    """
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
