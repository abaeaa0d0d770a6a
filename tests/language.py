"""A language model that knows nothing, for tests that need one; made once a process."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

HAS_TRL = find_spec("trl") is not None
needs_trl = pytest.mark.skipif(not HAS_TRL, reason="the extra [llm] is not installed")

QUICK = {
    "learning_rate": 1e-3,
    "num_generations": 4,
    "per_device_train_batch_size": 8,
    "max_completion_length": 6,
    "gradient_checkpointing": False,
}
"""Hyperparameters under which a step takes some hundredths of a second."""

EASY = {"largest": 3}
"""Sums that are right by chance now and then: without a reward nothing would be learned."""


def quick_pair(model_name: str) -> dict[str, Any]:
    """An experiment file's content: GRPO against Dr. GRPO for four steps."""
    arm = {
        "algorithm": "GRPO",
        "environment": "arithmetic",
        "hyperparameters": {**QUICK, "model_name": model_name},
        "training_steps": 4,
    }
    return {
        "baseline_config": arm,
        "variant_config": {"extends": "baseline", "algorithm": "DR_GRPO"},
    }


@cache
def newborn(task: str = "arithmetic", width: int = 16) -> str:
    """The folder of a model that was hardly trained: it ends its turns, and answers at random."""
    from src.experiments.tasks import make_task
    from src.experiments.training.heartbeat import Tally
    from src.experiments.training.trl.models import tiny_model

    parent = tempfile.mkdtemp(prefix="newborn-")
    atexit.register(shutil.rmtree, parent, ignore_errors=True)
    folder = Path(parent) / "model"
    recipe = tiny_model.Pretraining(width=width, layers=1, steps=150, batch=32)
    settings = EASY if task == "arithmetic" else {}
    tiny_model.make_model(make_task(task, settings), recipe, Tally(), folder)
    return str(folder)
