"""One run, trained: `Trainer`, the backend protocol, Stable-Baselines3, evaluation, rehearsal.

Importing this package imports no learning library: a backend does when a run starts.
"""

from .trainer import Trainer

__all__ = ["Trainer"]
