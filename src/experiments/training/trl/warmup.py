"""Imported once by the server that forks the processes of language models, after ``..warmup``.

TRL and what it takes along need three seconds, which each run would need otherwise. Not on a
machine with a GPU: a package that TRL takes along where it is installed may start CUDA, which no
process that is forked later could use; and beside a run on a GPU the seconds are nothing.
"""

from importlib.util import find_spec

import torch

# without TRL a run fails by a message that names the extra
if find_spec("trl") is not None and not torch.cuda.is_available():
    from . import backend  # noqa: F401
