"""Optimisers that do not import a compiler which nobody uses.

Creating and stepping an optimiser imports ``torch._dynamo``, and with it sympy and the distributed
packages: a second and 70 MiB for every training process, so that a compiled program would know
where its graphs end. Nothing is compiled here, and a step computes the same without it. Once
something has imported the compiler, the library's own methods are used again.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

COMPILER = "torch._dynamo"

Method = Callable[..., Any]


def spare_compiler() -> None:
    """Change PyTorch's optimisers in this process; what is not as expected is left as it is."""
    for method in vars(Optimizer).values():
        if _is_named(method, "inner"):
            _never_disabled(method)
    for kind in vars(torch.optim).values():
        if isinstance(kind, type) and _is_named(vars(kind).get("step"), "_use_grad"):
            kind.step = _step_alone(kind.step)  # type: ignore[attr-defined]


def _is_named(method: Any, name: str) -> bool:
    """Whether PyTorch has wrapped a method by the function of that name."""
    code = getattr(method, "__code__", None)
    return code is not None and code.co_name == name and hasattr(method, "__wrapped__")


def _never_disabled(method: Any) -> None:
    """Fill the place where PyTorch remembers a method's form for compiled programs."""
    inside: Any = method.__wrapped__
    inside.__dynamo_disable = inside


def _step_alone(with_compiler: Any) -> Method:
    """An optimiser's step with gradients switched as ever, and no mark for a compiler."""
    step: Method = with_compiler.__wrapped__

    @functools.wraps(step)
    def stepping(optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if COMPILER in sys.modules:
            return with_compiler(optimizer, *args, **kwargs)
        with torch.set_grad_enabled(optimizer.defaults["differentiable"]):
            return step(optimizer, *args, **kwargs)

    return stepping
