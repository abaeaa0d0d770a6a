"""The process around a run: its device, and what the libraries keep and say in it."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate.state import AcceleratorState, PartialState
from transformers.utils.logging import (
    disable_progress_bar,
    enable_progress_bar,
    is_progress_bar_enabled,
)

from ...domain.errors import TrainingError
from ...domain.paths import RunPaths
from ...domain.records import TrainerConfig
from ...durability.files import make_directory

SCRATCH = "trl-"
"""What the names of scratch folders begin with."""
TOKENIZERS = "TOKENIZERS_PARALLELISM"


@contextmanager
def hushed() -> Iterator[None]:
    """Let transformers speak of errors alone."""
    logger = logging.getLogger("transformers")
    level, shows_progress = logger.level, is_progress_bar_enabled()
    logger.setLevel(logging.ERROR)
    disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)
        if shows_progress:
            enable_progress_bar()


@contextmanager
def tokenizing_in_one_thread() -> Iterator[None]:
    """Have no threads in tokenizers, unless the user says so: they and a fork do not mix."""
    is_ours = TOKENIZERS not in os.environ
    os.environ.setdefault(TOKENIZERS, "false")
    try:
        yield
    finally:
        if is_ours:
            os.environ.pop(TOKENIZERS, None)


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
            f"device {name} is not available: {found} CUDA devices are visible",
            remedy="train with --device auto or cpu; `experiments doctor` shows the devices",
        )
    if device.index is not None:
        torch.cuda.set_device(device)
    return device


@contextmanager
def scratch_folder(config: TrainerConfig, *, is_first: bool) -> Iterator[Path]:
    """A folder for what TRL writes, beside what the attempt leaves; nothing in it is kept.

    The run's first process also removes what those left there that were killed.
    """
    if config.run_dir is None:
        with tempfile.TemporaryDirectory(prefix=SCRATCH) as folder:
            yield Path(folder)
        return
    attempt = make_directory(RunPaths(config.run_dir).attempt(config.attempt).root)
    if is_first:
        _remove_scratch(config.run_dir)
    try:
        yield Path(tempfile.mkdtemp(prefix=SCRATCH, dir=attempt))
    finally:
        if is_first:
            _remove_scratch(config.run_dir)


def _remove_scratch(run_dir: Path) -> None:
    for folder in run_dir.glob(f"attempt-*/{SCRATCH}*"):
        shutil.rmtree(folder, ignore_errors=True)


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
