"""What happens inside the library's updates: losses, KL divergences, gradient norms.

The library keeps these to itself, so they are read where it passes by: the function that clips
gradients returns their norm, optimisers call hooks, and an update asks for one minibatch after
another. Nothing is computed twice and nothing is changed, so the bits stay the library's own.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch.nn.utils import get_total_norm

from ..heartbeat import Tally
from .optimizers import optimizers
from .patching import wrapped
from .state.plain import Plain, capture, restore

Minibatches = Callable[..., Iterator[Any]]

SAMPLE_EVERY = 64
"""One in so many updates has its gradients measured where the library does not clip them."""
WITH_MINIBATCHES = ("PPO", "RecurrentPPO")
"""Algorithms that compute a loss and a KL divergence for every minibatch."""


@dataclass
class UpdateRecord:
    """What was seen since the last journal row."""

    losses: list[float] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)
    gradient_norms: list[Any] = field(default_factory=list)
    """Tensors of no dimension, or floats."""
    pass_start: int = 0
    """Index in `losses` and `kl` at which the last pass through the data began."""
    norms_pass_start: int = 0

    def norms(self) -> list[float]:
        """The gradient norms as floats."""
        return [float(norm) for norm in self.gradient_norms]


class UpdateWatcher:
    """Fills an `UpdateRecord` while it watches a model, and counts its gradient steps."""

    def __init__(self, model: BaseAlgorithm, tally: Tally) -> None:
        self._model = model
        self._tally = tally
        self._record = UpdateRecord()
        self.sees_minibatches = type(model).__name__ in WITH_MINIBATCHES
        """Whether losses come from the minibatches themselves."""
        self._clips = False
        self._hooks = ExitStack()
        self._armed: set[torch.optim.Optimizer] = set()
        self._squares: list[float] = []
        self._first_loss = 0
        """Index in the record's `losses` of the first one of this update."""

    def capture(self) -> Plain:
        """What no journal row told of yet, as plain data."""
        self._record.gradient_norms = list(self._record.norms())  # floats are told at once
        return capture((self._record, self._clips))

    def restore(self, state: Plain) -> None:
        """Go on from there; inside `watching`."""
        self._record, self._clips = restore((self._record, self._clips), state)
        if self._clips:
            self._hooks.close()

    def take(self) -> UpdateRecord:
        """What was seen since the last call."""
        record, self._record = self._record, UpdateRecord()
        return record

    def add_loss(self, loss: float) -> None:
        """Note the loss of an update whose minibatches are not seen one by one."""
        self._record.losses.append(loss)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Read along inside the block; everything is put back at its end."""
        with ExitStack() as stack:
            stack.enter_context(wrapped(torch.nn.utils, "clip_grad_norm_", self._noting_norm))
            stack.enter_context(self._hooks)
            for optimizer in optimizers(self._model):
                self._hooks.callback(optimizer.register_step_pre_hook(self._before_step).remove)
                stack.callback(optimizer.register_step_post_hook(self._after_step).remove)
            if self.sees_minibatches:
                buffer = self._model.rollout_buffer  # type: ignore[attr-defined]
                stack.enter_context(wrapped(buffer, "get", self._noting_minibatches))
            yield

    def before_update(self, count: int) -> None:
        """Choose whether this update's gradients are measured where nothing clips them."""
        self._first_loss = len(self._record.losses)
        if not self._clips and count % SAMPLE_EVERY == 0:
            self._armed = set(optimizers(self._model))
            self._squares = []

    def after_update(self) -> None:
        """Put the sampled norm of all optimisers' parameters together."""
        if self._squares and not self._clips:
            self._record.gradient_norms.append(math.sqrt(math.fsum(self._squares)))
        self._squares = []
        self._armed = set()

    def invalid_loss(self) -> float | None:
        """The first loss of this update's minibatches that is not finite; None without one."""
        losses = self._record.losses[self._first_loss :]
        return next((loss for loss in losses if not math.isfinite(loss)), None)

    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        del args, kwargs
        if optimizer not in self._armed:
            return
        self._armed.discard(optimizer)  # the first of several gradient steps is the sample
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        self._squares.append(float(get_total_norm(gradients)) ** 2)

    def _after_step(self, *_: Any) -> None:
        self._tally.count += 1

    def _noting_norm(self, clip: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def clip_and_note(*args: Any, **kwargs: Any) -> torch.Tensor:
            norm = clip(*args, **kwargs)
            if not self._clips:
                self._clips = True
                self._hooks.close()
            self._record.gradient_norms.append(norm)
            return norm

        return clip_and_note

    def _noting_minibatches(self, get: Minibatches) -> Minibatches:
        def get_and_note(*args: Any, **kwargs: Any) -> Iterator[Any]:
            record = self._record
            record.pass_start = len(record.losses)
            record.norms_pass_start = len(record.gradient_norms)
            for samples in get(*args, **kwargs):
                yield samples
                # the update asks for more: its frame still holds the last minibatch's values
                values = sys._getframe(1).f_locals
                record.losses.append(values["loss"].item())
                record.kl.append(float(values["approx_kl_div"]))

        return get_and_note
