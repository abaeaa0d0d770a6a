"""How sharply the policy's loss bends: the largest eigenvalue of its Hessian on a fixed batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.distributions import Distribution

from ...domain.errors import described
from ...domain.units import MIB
from ..determinism import generators_restored, seed_generators, training_modes_restored
from ..diagnostics import Measurement
from ..heartbeat import Tally
from .lanczos import Product, largest_eigenvalue
from .policy_losses import POLICY_LOSSES, Batch, PolicyLoss
from .state.plain import Plain, from_tensor_bytes, tensor_bytes

CURVATURE_MAX = "diagnostics/curvature_max"
CURVATURE_ITERATIONS = "diagnostics/curvature_iterations"

BATCH_SIZE = 256
"""Transitions of the batch: drawn as for an update, or a rollout's, which may have fewer."""
MOST_ITERATIONS, MOST_BYTES = 200, 256 * MIB
"""Products with the Hessian at most, and what the vectors between them may take."""
TOLERANCE = 1e-3
"""How far from an eigenvalue the value may be, relative to it."""
BATCH_SEED, NOISE_SEED, START_SEED = 1, 2, 3
"""Of the choice of transitions, of what the loss draws, and of the vector to start from.

The same in every run, so that two measurements differ by what they measure alone.
"""


class NotMeasuredError(Exception):
    """There is nothing to measure, and the message says why."""


class Curvature:
    """Measures a model on the same batch each time, the one that it found the first time.

    Networks compute as they do in evaluation: no dropout, and batch normalisation by its running
    statistics.

    Args:
        model: what is trained.
        tally: counts each product with the Hessian, as a sign of life.
    """

    def __init__(self, model: BaseAlgorithm, tally: Tally) -> None:
        self._model = model
        self._tally = tally
        self._batch: Batch | None = None

    def measure(self) -> Measurement:
        """The largest eigenvalue, or why there is none; training goes on either way."""
        try:
            with _training_left_alone(self._model):
                return Measurement(self._metrics())
        except NotMeasuredError as error:
            return Measurement(why_not=str(error))
        except Exception as error:  # noqa: BLE001 - a measurement is no reason to lose a run
            return Measurement(why_not=described(error))

    def capture(self) -> Plain:
        """The batch."""
        return None if self._batch is None else tensor_bytes(_on("cpu", self._batch))

    def restore(self, state: Plain) -> None:
        """Take the batch over."""
        told = None if state is None else from_tensor_bytes(state)
        self._batch = None if told is None else _on(self._model.device, told)

    def _metrics(self) -> dict[str, float]:
        loss = POLICY_LOSSES.get(type(self._model).__name__)
        if loss is None:
            raise NotMeasuredError(f"{type(self._model).__name__} has no loss that it could be of")
        if self._batch is None:
            seed_generators(BATCH_SEED)
            self._batch = _chosen_batch(self._model, loss.needs)
        multiply, start = self._hessian(loss, self._batch)
        most = min(MOST_ITERATIONS, MOST_BYTES // start.nbytes)
        found = largest_eigenvalue(multiply, start, most_iterations=most, tolerance=TOLERANCE)
        if not found.is_converged:
            raise NotMeasuredError(
                f"{found.iterations} products with the Hessian did not settle the eigenvalue"
            )
        return {CURVATURE_MAX: found.value, CURVATURE_ITERATIONS: found.iterations}

    def _hessian(self, loss: PolicyLoss, batch: Batch) -> tuple[Product, torch.Tensor]:
        """Multiplication with the Hessian, and a vector to begin with."""
        seed_generators(NOISE_SEED)
        value = loss.value(self._model, batch)
        multiply, size = hessian_product(value, loss.parameters(self._model))

        def multiply_and_count(vector: torch.Tensor) -> torch.Tensor:
            self._tally.count += 1
            return multiply(vector)

        generator = torch.Generator().manual_seed(START_SEED)
        start = torch.randn(size, generator=generator)
        return multiply_and_count, start.to(value)


def hessian_product(
    loss: torch.Tensor, parameters: Sequence[torch.nn.Parameter]
) -> tuple[Product, int]:
    """Multiplication of a vector with a loss's Hessian, and the Hessian's size.

    Hv = ∇(∇L · v), by differentiating twice and never forming H (Pearlmutter, Neural Computation
    6(1), 1994, whose operator R gives the same in forward mode). Parameters that the loss does not
    depend on are left out: they would add nothing but eigenvalues of zero.

    Raises:
        NotMeasuredError: when the loss depends on none of them.
    """
    wanted = [each for each in parameters if each.requires_grad]
    found = torch.autograd.grad(loss, wanted, create_graph=True, allow_unused=True)
    pairs = [pair for pair in zip(wanted, found, strict=True) if pair[1] is not None]
    if not pairs:
        raise NotMeasuredError("the loss does not depend on the policy's parameters")
    moved = [parameter for parameter, _ in pairs]
    gradient = torch.cat([part.flatten() for _, part in pairs])

    def multiply(vector: torch.Tensor) -> torch.Tensor:
        if not gradient.requires_grad:  # the loss is linear
            return torch.zeros_like(vector)
        slope = torch.dot(gradient, vector)
        parts = torch.autograd.grad(slope, moved, retain_graph=True, materialize_grads=True)
        return torch.cat([part.flatten() for part in parts])

    return multiply, len(gradient)


@contextmanager
def _training_left_alone(model: BaseAlgorithm) -> Iterator[None]:
    """Compute gradients in evaluation mode, and leave generators, modes and noise as they were."""
    with ExitStack() as stack:
        stack.enter_context(generators_restored())
        stack.enter_context(training_modes_restored(model.policy))
        stack.enter_context(_distributions_restored(model.policy))
        stack.enter_context(torch.enable_grad())
        model.policy.eval()
        yield


@contextmanager
def _distributions_restored(policy: torch.nn.Module) -> Iterator[None]:
    """Distributions of actions remember what they were asked last, and a matrix of noise."""
    owned = (value for module in policy.modules() for value in vars(module).values())
    found = [value for value in owned if isinstance(value, Distribution)]
    before = [dict(vars(distribution)) for distribution in found]
    try:
        yield
    finally:
        for distribution, attributes in zip(found, before, strict=True):
            vars(distribution).clear()
            vars(distribution).update(attributes)


def _chosen_batch(model: Any, needs: Sequence[str]) -> Batch:
    """Experience that training has learned from, chosen at random; generators are seeded.

    Raises:
        NotMeasuredError: before the first update.
    """
    rollout = getattr(model, "rollout_buffer", None)
    if not model._n_updates or (rollout is not None and not rollout.full):
        raise NotMeasuredError("there was no update yet")
    if rollout is None:
        samples = model.replay_buffer.sample(BATCH_SIZE, env=model.get_vec_normalize_env())
    else:  # an update leaves the rollout as one row of transitions
        rows = np.random.permutation(rollout.buffer_size * rollout.n_envs)[:BATCH_SIZE]
        samples = rollout._get_samples(rows)
    stored = {name: getattr(samples, name) for name in needs}
    return {name: value for name, value in stored.items() if value is not None}


def _on(device: torch.device | str, batch: Batch) -> Batch:
    return {
        name: _on(device, value) if isinstance(value, dict) else value.to(device)
        for name, value in batch.items()
    }
