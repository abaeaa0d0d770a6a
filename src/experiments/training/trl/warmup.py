"""Imported once by the server that forks the processes of language models, after ``..warmup``.

TRL and what it takes along need three seconds, which each run would need otherwise. Not on a
machine with a GPU: a package that TRL takes along where it is installed may start CUDA, which no
process that is forked later could use; and beside a run on a GPU the seconds are nothing.
"""

from importlib.util import find_spec
from pathlib import Path

import torch

GPUS = ("nvidia*", "nvhost*", "nvmap", "dxg", "kfd")
"""Names of a GPU's device files: NVIDIA's own, Jetson's, those of Windows and of AMD."""


def may_have_a_gpu() -> bool:
    """Whether PyTorch could use a GPU here; asking PyTorch itself might start CUDA."""
    if torch.version.cuda is None and torch.version.hip is None:
        return False
    return any(any(Path("/dev").glob(name)) for name in GPUS)


# without TRL a run fails by a message that names the extra
if find_spec("trl") is not None and not may_have_a_gpu():
    from . import backend  # noqa: F401
