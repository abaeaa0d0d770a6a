"""The tensors in the files of a saved model: parameters, optimisers, other variables."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import torch


def first_difference(one: bytes, other: bytes) -> str | None:
    """Where two such files hold other values; None where all are equal in every bit."""
    sides = [
        dict(_leaves(torch.load(io.BytesIO(each), map_location="cpu", weights_only=True), ""))
        for each in (one, other)
    ]
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        if not all(name in side for side in sides) or sides[0][name] != sides[1][name]:
            return name
    return None


def _leaves(value: Any, name: str) -> Iterator[tuple[str, object]]:
    """Every value by its place, tensors as their type, shape and bytes."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{name}[{index}]")
    elif isinstance(value, torch.Tensor):
        raw = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        yield name, (str(value.dtype), tuple(value.shape), raw)
    else:
        yield name, repr(value)
