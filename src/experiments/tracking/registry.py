"""The trackers by name, imported when one is asked for: none is where nothing is told."""

from __future__ import annotations

from importlib import import_module

from ..domain.errors import UsageError
from .tracker import Tracker, TrackerSettings

TRACKERS = {
    "clearml": ".clearml.tracker:ClearmlTracker",
    "wandb": ".wandb.tracker:WandbTracker",
    "tensorboard": ".tensorboard_tracker:TensorboardTracker",
}


def check_tracker(name: str) -> str:
    """Return the name of a tracker if there is one, else raise `UsageError`."""
    if name not in TRACKERS:
        raise UsageError(f"tracker {name!a} is unknown", remedy=f"use {', '.join(TRACKERS)}")
    return name


def create_tracker(name: str, settings: TrackerSettings) -> Tracker:
    """The tracker of that name; nothing is opened yet."""
    module, _, attribute = TRACKERS[check_tracker(name)].partition(":")
    kind: type[Tracker] = getattr(import_module(module, __package__), attribute)
    return kind(settings)
