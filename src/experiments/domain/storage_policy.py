"""What is kept on this machine and what is told to trackers alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Storage(StrEnum):
    """How much of an experiment stays on the local disk."""

    STANDARD = "standard"
    HYBRID = "hybrid"
    TRACKER_ONLY = "tracker_only"


KEEPERS = frozenset({"clearml", "wandb"})
"""Trackers that keep what they are told elsewhere than on this disk."""


@dataclass(frozen=True)
class StoragePolicy:
    """Answers what anything asks that is about to write a figure or a model."""

    storage: Storage = Storage.STANDARD
    wandb: bool = False
    """Whether Weights & Biases is a tracker."""
    others: bool = False
    """Whether there is another tracker."""

    def should_save_locally(self, *, figure: bool = False) -> bool:
        """Whether a model, a table or (with `figure`) a figure stays in the results."""
        match self.storage:
            case Storage.STANDARD:
                return True
            case Storage.HYBRID:
                return not figure
            case Storage.TRACKER_ONLY:
                return False

    def should_make(self, *, figure: bool = False) -> bool:
        """Whether it is made at all: to stay, or to be uploaded."""
        uploads = self.should_log_to_wandb() or self.others
        return uploads or self.should_save_locally(figure=figure)

    def should_log_to_wandb(self) -> bool:
        """Whether Weights & Biases is told, which needs the files until it has them."""
        return self.wandb
