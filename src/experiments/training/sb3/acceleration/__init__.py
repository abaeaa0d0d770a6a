"""Less work for the same bits: pieces that stand in for the library's own steps while it trains.

Each piece computes what the library computes, by the same kernels in the same order, and leaves
alone what it does not know: another policy, another space, another device. What the checks of
arguments would have found, the checks of finiteness find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from sb3_contrib import ARS
from stable_baselines3.common.base_class import BaseAlgorithm

from ....domain.acceleration import Piece, chosen_pieces
from .arguments import unchecked_arguments
from .buffers import lean_buffers
from .copies import plain_copies
from .critics import constant_critics
from .networks import laid_networks
from .observations import direct_observations
from .policies import lean_policies
from .steps import grouped_steps
from .targets import grouped_targets
from .walks import remembered_walks

PIECES: dict[Piece, Callable[[BaseAlgorithm], AbstractContextManager[None]]] = {
    Piece.ARGUMENTS: unchecked_arguments,
    Piece.OPTIMIZERS: grouped_steps,
    Piece.WALKS: remembered_walks,
    Piece.NETWORKS: laid_networks,
    Piece.POLICIES: lean_policies,
    Piece.CRITICS: constant_critics,
    Piece.TARGETS: grouped_targets,
    Piece.OBSERVATIONS: direct_observations,
    Piece.COPIES: plain_copies,
    Piece.BUFFERS: lean_buffers,
}
"""In the order in which they are put on; a later one may stand in for an earlier one."""

OF_COPIES = frozenset((Piece.ARGUMENTS, Piece.COPIES))
"""Pieces that put nothing on the policy: evolution strategies copy it and train the copies."""


@contextmanager
def accelerated(model: BaseAlgorithm, accelerate: bool | Iterable[str]) -> Iterator[None]:
    """Train with the pieces that were asked for; everything is put back at the end."""
    chosen = chosen_pieces(accelerate)
    if isinstance(model, ARS):
        chosen &= OF_COPIES
    with ExitStack() as stack:
        for piece, put_on in PIECES.items():
            if piece in chosen:
                stack.enter_context(put_on(model))
        yield
