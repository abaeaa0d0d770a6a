"""One run, trained: `Trainer`, the backend protocol, Stable-Baselines3, evaluation, rehearsal.

Importing this package imports no learning library: a backend does when a run starts.
"""

from collections.abc import Iterable

from ..config.algorithms import is_language
from .job import floor_run, probe_run, rehearse_run, train_run
from .trainer import Trainer

__all__ = ["Trainer", "floor_run", "probe_run", "rehearse_run", "train_run", "warm_ups"]


def warm_ups(algorithms: Iterable[str]) -> tuple[str, ...]:
    """The modules that a process imports before it forks those that train by these algorithms."""
    ours = f"{__name__}.warmup"
    return (ours, f"{__name__}.trl.warmup") if any(map(is_language, algorithms)) else (ours,)
