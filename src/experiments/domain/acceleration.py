"""The pieces of acceleration, each of which can be left out by its name."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Piece(StrEnum):
    """One way to do less work for the same bits."""

    ARGUMENTS = "arguments"
    """Distributions do not check their arguments."""
    OPTIMIZERS = "optimizers"
    """Steps and clipping handle all tensors in one call, without what only other devices need."""
    WALKS = "walks"
    """Modules and parameters are listed once, not at each call."""
    NETWORKS = "networks"
    """Layers are called one after the other, without the calls around them."""
    POLICIES = "policies"
    """Actors with a critic compute actions, values and probabilities in one function."""
    CRITICS = "critics"
    """An actor's update computes no gradients of the critics, which nothing reads."""
    TARGETS = "targets"
    """Target networks follow in one call for all tensors."""
    OBSERVATIONS = "observations"
    """Observations become tensors without a look at their space."""
    COPIES = "copies"
    """Observations and infos are copied without a search for what they share."""
    BUFFERS = "buffers"
    """Stored experience is written, read and turned to advantages with fewer copies."""


def chosen_pieces(accelerate: bool | Iterable[str]) -> frozenset[Piece]:
    """The pieces that a configuration asks for."""
    if isinstance(accelerate, bool):
        return frozenset(Piece) if accelerate else frozenset()
    return frozenset(Piece(name) for name in accelerate)
