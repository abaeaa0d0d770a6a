"""One run, trained: `Trainer`, the backend protocol, Stable-Baselines3, evaluation, rehearsal.

Importing this package imports no learning library: a backend does when a run starts.
"""

from .job import floor_run, probe_run, rehearse_run, train_run
from .trainer import Trainer

WARM_UP = f"{__name__}.warmup"
"""The module that a process imports before it forks training processes."""

__all__ = ["WARM_UP", "Trainer", "floor_run", "probe_run", "rehearse_run", "train_run"]
