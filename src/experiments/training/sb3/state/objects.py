"""What objects are made of, as far as it can be told: kinds, attributes, names, generators."""

from __future__ import annotations

import io
import logging
import numbers
import re
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec

Plain = Any
"""Numbers, texts, bytes, None, and tuples of a tag with more of these."""

STATIC = "static"
"""Tag of what the configuration makes anew: it is left as it is, and has the same name."""

SCALARS = (bool, int, float, str, bytes, type(None))
STATIC_KINDS = (
    types.BuiltinFunctionType,
    types.ModuleType,
    types.GenericAlias,
    type,
    property,
    re.Pattern,
    EnvSpec,
    logging.Logger,
    np.ufunc,
    np.dtype,
    torch.device,
    torch.dtype,
)
BIT_GENERATORS = {
    kind.__name__: kind
    for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox)
}
DICTIONARIES = {kind.__name__: kind for kind in (dict, OrderedDict, defaultdict, Counter)}
MOST_PARTS = 1_000_000
"""An object of more parts would hold training up for seconds each time that it is told."""
_LARGEST_BASE = 1 << 16
"""Bytes of an array of which a view is told as such; of a larger one the view is told alone."""
_HEAP_TYPE = 1 << 9
"""Flag of a class that was made at run time; objects of the others keep state that nobody sees."""


class OpaqueError(Exception):
    """A part of an object cannot be told as plain data."""

    def __init__(self, path: str, value: object, why: str = "") -> None:
        self.path = path
        kind = type(value)
        super().__init__(f"{path or 'it'} is a {kind.__module__}.{kind.__qualname__}{why}")


class MismatchError(Exception):
    """What was captured does not fit the object that is to be filled."""


def generators(value: Any) -> dict[str, np.random.Generator]:
    """Every random generator inside a value, those of spaces too, by its path."""
    return dict(_generators(value, "", set()))


def _generators(value: Any, path: str, met: set[int]) -> Iterator[tuple[str, np.random.Generator]]:
    if id(value) in met or isinstance(value, (*SCALARS, *STATIC_KINDS, np.ndarray)):
        return
    met.add(id(value))
    if isinstance(value, np.random.Generator):
        yield path, value
        return
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list | tuple | deque):
        parts = enumerate(value)
    elif is_transparent(value):
        parts = attributes_of(value).items()
    for name, part in parts:
        yield from _generators(part, f"{path}/{name}", met)


def tensor_bytes(value: Any) -> bytes:
    """Tensors in containers, as PyTorch writes them."""
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def from_tensor_bytes(data: bytes, device: torch.device | str = "cpu") -> Any:
    """What `tensor_bytes` was given; nothing but tensors and containers can come of it."""
    return torch.load(io.BytesIO(data), map_location=device, weights_only=True)


def is_transparent(value: Any) -> bool:
    """Whether all that an object keeps is in its attributes: its classes are written in Python."""
    if isinstance(value, types.SimpleNamespace):
        return True
    kinds = type(value).__mro__[:-1]
    return (
        bool(kinds)
        and all(kind.__flags__ & _HEAP_TYPE for kind in kinds)
        and (hasattr(value, "__dict__") or any("__slots__" in vars(kind) for kind in kinds))
    )


def attributes_of(value: Any) -> dict[str, Any]:
    """What an object keeps, by name, in slots or not."""
    slots = (
        name
        for kind in type(value).__mro__
        for name in _slot_names(kind)
        if hasattr(value, name) and name not in ("__dict__", "__weakref__")
    )
    return {**{name: getattr(value, name) for name in slots}, **getattr(value, "__dict__", {})}


def _slot_names(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def name_of(value: Any) -> str:
    """What tells functions, classes and constants apart; an object may exchange one for another."""
    if isinstance(value, re.Pattern | np.dtype | torch.device | torch.dtype | types.GenericAlias):
        return repr(value)
    is_named = isinstance(value, types.FunctionType | types.BuiltinFunctionType | np.ufunc | type)
    return getattr(value, "__qualname__", "") or getattr(value, "__name__", "") if is_named else ""


def cells_of(function: types.FunctionType) -> dict[str, Any]:
    """What a function keeps of the one around it, by name."""
    names = function.__code__.co_freevars
    return {
        name: cell.cell_contents
        for name, cell in zip(names, function.__closure__ or (), strict=True)
        if cell != types.CellType()
    }


def is_static(state: Plain) -> bool:
    """Whether nothing was told of a value, which the configuration makes anew."""
    return isinstance(state, tuple) and state[0] == STATIC


def is_value(value: Any) -> bool:
    """Whether an object never changes, so that many may share it."""
    parameters = getattr(type(value), "__dataclass_params__", None)
    return isinstance(value, numbers.Number) or (parameters is not None and parameters.frozen)


def dtype_of(dtype: np.dtype[Any]) -> Plain:
    """A dtype's own short name, or the description of its fields."""
    return dtype.str if dtype.names is None else ("fields", repr(dtype.descr))


def is_small_and_plain(base: np.ndarray) -> bool:
    """Whether an array is told together with the views that others have of it."""
    kept = base.flags.c_contiguous and base.nbytes <= _LARGEST_BASE
    return kept and base.dtype.kind not in "OmMV"


def address_of(array: np.ndarray) -> int:
    """Where in memory an array begins."""
    return int(array.__array_interface__["data"][0])
