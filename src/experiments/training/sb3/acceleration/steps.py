"""Optimisers' steps and the clipping of gradients, with one call for all tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from ..optimizers import optimizers
from ..patching import wrapped

GROUPED_IS_EXACT = (torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop)
"""Optimisers whose grouped form gives the same bits as the plain one."""
ONE = torch.tensor(1.0)

Step = Callable[..., Any]


@contextmanager
def grouped_steps(model: BaseAlgorithm) -> Iterator[None]:
    """Take the grouped form of every step whose bits are the same."""
    exact = [optimizer for optimizer in optimizers(model) if type(optimizer) in GROUPED_IS_EXACT]
    before = [group["foreach"] for group in _groups(exact)]
    with ExitStack() as stack:
        if all(_is_plain(weight) for weight in model.policy.parameters()):
            stack.enter_context(wrapped(torch.nn.utils, "clip_grad_norm_", _clip_together))
            for optimizer in exact:
                stack.enter_context(wrapped(optimizer, "zero_grad", partial(_forget, optimizer)))
                if type(optimizer) is torch.optim.Adam:
                    stack.enter_context(wrapped(optimizer, "step", partial(_adam, optimizer)))
        for group in _groups(exact):
            group["foreach"] = True
        try:
            yield
        finally:
            for group, foreach in zip(_groups(exact), before, strict=True):
                group["foreach"] = foreach


def _groups(chosen: Sequence[torch.optim.Optimizer]) -> list[dict[str, Any]]:
    """The groups of parameters as they are now: a state that is loaded replaces them."""
    return [group for optimizer in chosen for group in optimizer.param_groups]


def _is_plain(weight: Tensor) -> bool:
    return weight.is_cpu and weight.dtype == torch.float32


def _forget(optimizer: torch.optim.Optimizer, zero_grad: Step) -> Step:
    def forget(set_to_none: bool = True) -> None:
        if not set_to_none:
            zero_grad(set_to_none=False)
            return
        for group in optimizer.param_groups:
            for weight in group["params"]:
                weight.grad = None

    return forget


def _adam(optimizer: torch.optim.Adam, step: Step) -> Step:
    """Adam's step without what only other devices, sparse gradients or compilers need.

    The library's own takes the first step, which prepares the moments, and every unusual one.
    """

    def lean_step(closure: Any = None) -> Any:
        told = (_moments(optimizer, group) for group in optimizer.param_groups)
        groups = [moments for moments in told if moments is not None]
        is_plain = len(groups) == len(optimizer.param_groups)
        if closure is not None or not is_plain or _global_hooks():
            return step(closure)
        for pre_hook in optimizer._optimizer_step_pre_hooks.values():
            pre_hook(optimizer, (optimizer,), {})
        with torch.no_grad():
            for group, moments in zip(optimizer.param_groups, groups, strict=True):
                _adam_step(group, *moments)
        for post_hook in optimizer._optimizer_step_post_hooks.values():
            post_hook(optimizer, (optimizer,), {})
        return None

    return lean_step


def _global_hooks() -> bool:
    return bool(_global_optimizer_pre_hooks or _global_optimizer_post_hooks)


def _moments(optimizer: torch.optim.Adam, group: dict[str, Any]) -> tuple[list[Any], ...] | None:
    """Weights, gradients, both moments and counts of steps; None where the step is not plain."""
    unusual = ("amsgrad", "maximize", "weight_decay", "capturable", "differentiable", "fused")
    if any(group[name] for name in unusual) or type(group["lr"]) is not float:
        return None
    weights = [weight for weight in group["params"] if weight.grad is not None]
    states = [optimizer.state.get(weight, {}) for weight in weights]
    if not (states and all(states)):
        return None
    return (
        weights,
        [weight.grad for weight in weights],
        [state["exp_avg"] for state in states],
        [state["exp_avg_sq"] for state in states],
        [state["step"] for state in states],
    )


def _adam_step(
    group: dict[str, Any],
    weights: list[Tensor],
    gradients: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    counts: list[Tensor],
) -> None:
    """One step of Adam (Kingma and Ba 2015, algorithm 1), each operation over all tensors."""
    beta1, beta2 = group["betas"]
    torch._foreach_add_(counts, ONE, alpha=1.0)
    torch._foreach_lerp_(means, gradients, 1 - beta1)
    torch._foreach_mul_(squares, beta2)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
    steps = [count.item() for count in counts]
    sizes = [(group["lr"] / (1 - beta1**step)) * -1 for step in steps]
    corrections = [(1 - beta2**step) ** 0.5 for step in steps]
    roots = torch._foreach_sqrt(squares)
    torch._foreach_div_(roots, corrections)
    torch._foreach_add_(roots, group["eps"])
    torch._foreach_addcdiv_(weights, means, roots, sizes)


def _clip_together(clip: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def clip_grad_norm_(parameters: Any, max_norm: float, *more: Any, **unusual: Any) -> Tensor:
        weights = [parameters] if isinstance(parameters, Tensor) else list(parameters)
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if more or unusual or not gradients:
            return clip(weights, max_norm, *more, **unusual)
        with torch.no_grad():
            norms = torch.stack(torch._foreach_norm(gradients, 2.0))
            total: Tensor = torch.linalg.vector_norm(norms, 2.0)
            share = torch.clamp(float(max_norm) / (total + 1e-6), max=1.0)
            torch._foreach_mul_(gradients, share)
        return total

    return clip_grad_norm_
