"""One way: the changing parts of any object as plain data."""

from __future__ import annotations

import enum
import functools
import random
import sys
import types
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from .foreign import foreign_arrays
from .objects import (
    BIT_GENERATORS,
    DICTIONARIES,
    MOST_PARTS,
    SCALARS,
    STATIC,
    STATIC_KINDS,
    OpaqueError,
    Plain,
    address_of,
    attributes_of,
    cells_of,
    dtype_of,
    is_small_and_plain,
    is_static,
    is_transparent,
    name_of,
    tensor_bytes,
)


def capture(value: Any, leave_out: Collection[str] = (), most_bytes: int = sys.maxsize) -> Plain:
    """The changing parts of a value.

    Args:
        value: anything.
        leave_out: attributes of the value itself that are left as they are.
        most_bytes: how much its arrays may hold together.

    Raises:
        OpaqueError: naming the part that cannot be told, or that is too much.
    """
    return _Capture(most_bytes=most_bytes).of(value, "", leave_out)


def opaque_parts(value: Any, most_bytes: int = sys.maxsize) -> dict[str, object]:
    """Every part that cannot be told as plain data, or is too much, by its path."""
    looker = _Capture(is_strict=False, most_bytes=most_bytes)
    looker.of(value, "", ())
    return looker.opaque


class _Capture:
    """One walk through a value; what is met again is told by the number that it got at first."""

    def __init__(self, *, is_strict: bool = True, most_bytes: int = sys.maxsize) -> None:
        self._is_strict = is_strict
        self._bytes_left = most_bytes
        self._met: dict[int, tuple[int, object]] = {}
        """Number of what was met, by its id; it is kept so that nothing else gets the same id."""
        self._open: set[int] = set()
        self._parts = 0
        self.opaque: dict[str, object] = {}

    def of(self, value: Any, path: str, leave_out: Collection[str]) -> Plain:
        kind = type(value)
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise OpaqueError(path, value, f", and part {MOST_PARTS:,} of its state")
        if kind in SCALARS:
            is_much = kind is bytes and self._is_too_much(len(value))
            return self._refuse(value, path) if is_much else value
        if isinstance(value, STATIC_KINDS):
            return (STATIC, name_of(value))
        if kind in _VALUES:
            return _VALUES[kind](self, value, path)
        if id(value) in self._met:
            return self._again(value, path)
        number = len(self._met)
        self._met[id(value)] = number, value
        if kind not in _CONTAINERS:
            return ("one", number, self._other(value, path, leave_out))
        self._open.add(id(value))
        try:
            return ("one", number, _CONTAINERS[kind](self, value, path))
        finally:
            self._open.discard(id(value))

    def _again(self, value: Any, path: str) -> Plain:
        if id(value) in self._open:  # a container in itself
            return self._refuse(value, path)
        return ("again", self._met[id(value)][0])

    def _other(self, value: Any, path: str, leave_out: Collection[str]) -> Plain:
        for known, tell in self._known.items():
            if isinstance(value, known):
                return tell(self, value, path)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return ("named", self._items(value, path))
        return self._object(value, path, leave_out)

    def _items(self, values: Any, path: str) -> list[Plain]:
        return [self.of(item, f"{path}/{number}", ()) for number, item in enumerate(values)]

    def _dict(self, value: dict[Any, Any], path: str) -> Plain:
        pairs = [
            (self.of(key, f"{path}/key", ()), self.of(item, f"{path}/{key}", ()))
            for key, item in value.items()
        ]
        if any(is_static(key) for key, _ in pairs):
            return self._refuse(value, path)
        return ("dict", type(value).__name__, pairs)

    def _set(self, value: set[Any] | frozenset[Any], path: str) -> Plain:
        items = self._items(value, path)
        if any(map(is_static, items)):
            return self._refuse(value, path)
        return (type(value).__name__, items)

    def _is_too_much(self, size: int) -> bool:
        self._bytes_left -= size
        return self._bytes_left < 0

    def _path(self, value: PurePath, _: str) -> Plain:
        return ("path", str(value))

    def _partial(self, value: functools.partial[Any], path: str) -> Plain:
        parts = (value.func, value.args, value.keywords)
        return ("partial", self._items(parts, path))

    def _method(self, value: types.MethodType, path: str) -> Plain:
        return ("method", value.__func__.__qualname__, self.of(value.__self__, path, ()))

    def _function(self, value: types.FunctionType, path: str) -> Plain:
        """A function by its name, and what it can change of the one around it."""
        told = {}
        for name, part in cells_of(value).items():
            with suppress(OpaqueError):  # as it is, it is most often a part of some library
                if type(part) in (*SCALARS, *_CONTAINERS, np.ndarray):
                    told[name] = self.of(part, f"{path}/{name}", ())
        return ("function", name_of(value), told) if told else (STATIC, name_of(value))

    def _array(self, value: np.ndarray, path: str) -> Plain:
        if value.dtype.hasobject:
            return ("objects", value.shape, self._items(value.ravel().tolist(), path))
        if type(value) is not np.ndarray:  # it may have a mask, or units
            return self._refuse(value, path)
        base = value.base
        if type(base) is np.ndarray and is_small_and_plain(base):
            offset = address_of(value) - address_of(base)
            form = dtype_of(value.dtype), value.shape, value.strides, offset
            return ("view", self.of(base, path, ()), *form)
        if self._is_too_much(value.nbytes):
            return self._refuse(value, path)
        return ("array", dtype_of(value.dtype), value.shape, value.tobytes())

    def _space(self, value: spaces.Space[Any], path: str) -> Plain:
        own = value._np_random
        inner: Any = getattr(value, "spaces", ())
        parts = inner.values() if isinstance(inner, Mapping) else inner
        return (
            "space",
            None if own is None else self.of(own, path, ()),
            [self.of(part, path, ()) for part in parts],
        )

    def _generator(self, value: np.random.Generator, path: str) -> Plain:
        name = type(value.bit_generator).__name__
        if name not in BIT_GENERATORS:
            return self._refuse(value, path)
        return ("generator", name, self.of(value.bit_generator.state, path, ()))

    def _object(self, value: Any, path: str, leave_out: Collection[str]) -> Plain:
        arrays = foreign_arrays(value)
        if arrays is None and not is_transparent(value):
            return self._refuse(value, path)
        if arrays is not None:
            return ("foreign", type(value).__qualname__, self.of(arrays, path, ()))
        attributes = {
            name: self.of(item, f"{path}/{name}", ())
            for name, item in attributes_of(value).items()
            if name not in leave_out
        }
        return ("object", type(value).__qualname__, attributes, tuple(leave_out))

    def _refuse(self, value: Any, path: str) -> Plain:
        if self._is_strict:
            much = ", with which its state is too large" if self._bytes_left < 0 else ""
            raise OpaqueError(path, value, much)
        self.opaque[path] = value
        return (STATIC, "")

    def _enum(self, value: enum.Enum, path: str) -> Plain:
        return ("enum", type(value).__qualname__, self.of(value.value, path, ()))

    _known: Mapping[type, Callable[[Any, Any, str], Plain]] = {
        np.ndarray: _array,
        PurePath: _path,
        functools.partial: _partial,
        types.MethodType: _method,
        types.FunctionType: _function,
        np.random.Generator: _generator,
        enum.Enum: _enum,
        spaces.Space: _space,
        np.generic: lambda _, value, __: ("scalar", dtype_of(value.dtype), value.tobytes()),
        np.random.RandomState: lambda self, value, path: (
            "legacy",
            self.of(value.get_state(legacy=False), path, ()),
        ),
        random.Random: lambda self, value, path: ("random", self.of(value.getstate(), path, ())),
        torch.nn.Module: lambda _, value, __: ("module", tensor_bytes(value.state_dict())),
        torch.optim.Optimizer: lambda _, value, __: ("optimizer", tensor_bytes(value.state_dict())),
        torch.Tensor: lambda _, value, __: ("tensor", tensor_bytes(value.detach().cpu())),
        torch.Generator: lambda _, value, __: ("torch", tensor_bytes(value.get_state())),
    }


_VALUES: Mapping[type, Callable[[_Capture, Any, str], Plain]] = {
    tuple: lambda self, value, path: ("tuple", self._items(value, path)),
    frozenset: _Capture._set,
    complex: lambda _, value, __: ("complex", value.real, value.imag),
    range: lambda _, value, __: ("range", value.start, value.stop, value.step),
    slice: lambda self, value, path: (
        "slice",
        self._items((value.start, value.stop, value.step), path),
    ),
}
"""Kinds that never change: one of them is as good as another that is equal."""
_CONTAINERS: Mapping[type, Callable[[_Capture, Any, str], Plain]] = {
    list: lambda self, value, path: ("list", self._items(value, path)),
    set: _Capture._set,
    deque: lambda self, value, path: ("deque", value.maxlen, self._items(value, path)),
    **dict.fromkeys(DICTIONARIES.values(), _Capture._dict),
    bytearray: lambda _, value, __: ("bytearray", bytes(value)),
}
