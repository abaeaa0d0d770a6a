"""What is kept on this machine and what is told to Weights & Biases alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Storage(StrEnum):
    """How much of an experiment stays on the local disk."""

    STANDARD = "standard"
    HYBRID = "hybrid"
    TRACKER_ONLY = "tracker_only"


@dataclass(frozen=True)
class StoragePolicy:
    """Answers the two questions that anything about to write a figure or a model asks."""

    storage: Storage = Storage.STANDARD
    wandb: bool = False

    def should_save_locally(self, *, figure: bool = False) -> bool:
        """Whether a model, a table or (with `figure`) a figure is written to the results."""
        match self.storage:
            case Storage.STANDARD:
                return True
            case Storage.HYBRID:
                return not figure
            case Storage.TRACKER_ONLY:
                return False

    def should_log_to_wandb(self) -> bool:
        """Whether Weights & Biases is told."""
        return self.wandb
