"""The process around a run: its device, and what the libraries keep and say in it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate.state import AcceleratorState, PartialState
from transformers.utils.logging import disable_progress_bar

from ...domain.errors import TrainingError


def hush() -> None:
    """Let transformers speak of errors alone."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    disable_progress_bar()


def device_named(name: str) -> torch.device:
    """The device that a name means.

    Raises:
        TrainingError: when it is not there.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if found else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= found:
        raise TrainingError(
            f"device {name} is not there: {found} CUDA devices are visible",
            remedy="train with --device auto or cpu; `experiments doctor` shows the devices",
        )
    if device.index is not None:
        torch.cuda.set_device(device)
    return device


@contextmanager
def without_deprecations() -> Iterator[None]:
    """Leave out what the libraries would tell each other: nothing that a run could change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"trl|transformers")
        warnings.filterwarnings("ignore", r".*is deprecated and will be removed", FutureWarning)
        warnings.filterwarnings("ignore", r".*'rollout_func'", UserWarning)
        yield


def forget_devices() -> None:
    """Accelerate keeps the device of the first run in the process for all that follow."""
    AcceleratorState._reset_state()
    PartialState._reset_state()
