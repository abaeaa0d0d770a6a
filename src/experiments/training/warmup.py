"""Imported once by the server that forks training processes: pays for the slow imports.

It changes PyTorch in the whole process, so nothing else imports it. Nothing here starts CUDA or
counts its devices: a process that was forked after that could not use it, and would not see the
devices that its own environment variables choose.
"""

from __future__ import annotations

import os
import sys

# whatever a module asks about CUDA while it is imported, NVML answers
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")

# Stable-Baselines3 looks for TensorBoard's writer, which nobody may ask it for here
# (`tensorboard_log` is refused), and which imports boto3: it finds none, for now
sys.modules["torch.utils.tensorboard"] = None  # type: ignore[assignment]

import gymnasium  # noqa: F401
import stable_baselines3  # noqa: F401
import torch

del sys.modules["torch.utils.tensorboard"]

from . import floor, job, rehearsal  # noqa: F401
from .sb3 import backend  # noqa: F401
from .sb3.compiler import spare_compiler
from .sb3.first_step import warm_up

torch.set_num_threads(1)
spare_compiler()
warm_up()
