"""Any object's changing parts as plain data, and back into an object that was built the same way.

Nothing is constructed from what was captured but numbers, texts, containers, arrays, tensors and
random generators. Everything else is filled in place: an object that was built from the same
configuration has the same classes, functions and modules already.
"""

from __future__ import annotations

import enum
import functools
import io
import logging
import random
import re
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from .foreign import fill_foreign, foreign_arrays

Plain = Any
"""Numbers, texts, bytes, None, and tuples of a tag with more of these."""

STATIC = ("static",)
"""Stands for what the configuration makes anew: it is left as it is."""

_SCALARS = (bool, int, float, str, bytes, type(None))
_STATIC_KINDS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.ModuleType,
    types.GenericAlias,
    type,
    property,
    functools.partial,
    re.Pattern,
    range,
    slice,
    PurePath,
    EnvSpec,
    logging.Logger,
    np.ufunc,
    np.dtype,
    torch.device,
    torch.dtype,
)
_BIT_GENERATORS = {
    kind.__name__: kind
    for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox)
}
_HEAP_TYPE = 1 << 9
"""Flag of a class that was made at run time; objects of the others keep state that nobody sees."""


class OpaqueError(Exception):
    """A part of an object cannot be told as plain data."""

    def __init__(self, path: str, value: object) -> None:
        self.path = path
        kind = type(value)
        super().__init__(f"{path or 'it'} is a {kind.__module__}.{kind.__qualname__}")


class MismatchError(Exception):
    """What was captured does not fit the object that is to be filled."""


def capture(value: Any, leave_out: Collection[str] = ()) -> Plain:
    """The changing parts of a value.

    Args:
        value: anything.
        leave_out: attributes of the value itself that are left as they are.

    Raises:
        OpaqueError: naming the part that cannot be told.
    """
    return _Capture().of(value, "", leave_out)


def restore(existing: Any, state: Plain) -> Any:
    """The value that was captured: `existing`, filled in place wherever that is possible.

    Raises:
        MismatchError: when `existing` was built differently.
    """
    return _restore(existing, state, "")


def opaque_parts(value: Any) -> dict[str, object]:
    """Every part that cannot be told as plain data, by its path."""
    looker = _Capture(is_strict=False)
    looker.of(value, "", ())
    return looker.opaque


def generators(value: Any) -> dict[str, np.random.Generator]:
    """Every random generator inside a value, those of spaces too, by its path."""
    return dict(_generators(value, "", set()))


def _generators(value: Any, path: str, met: set[int]) -> Iterator[tuple[str, np.random.Generator]]:
    if id(value) in met or isinstance(value, (*_SCALARS, *_STATIC_KINDS, np.ndarray)):
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
    elif _is_transparent(value):
        parts = _attributes(value).items()
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


class _Capture:
    """One walk through a value; an object that is met again was told already."""

    def __init__(self, *, is_strict: bool = True) -> None:
        self._is_strict = is_strict
        self._met: dict[int, object] = {}
        """Objects on the way or done, kept so that no other one gets the same id."""
        self._open: set[int] = set()
        self.opaque: dict[str, object] = {}

    def of(self, value: Any, path: str, leave_out: Collection[str]) -> Plain:
        kind = type(value)
        if kind in _SCALARS:
            return value
        if isinstance(value, _STATIC_KINDS):
            return STATIC
        if kind in _CONTAINERS:
            return self._container(value, path)
        for known, tell in self._known.items():
            if isinstance(value, known):
                return tell(self, value, path)
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            return ("named", [self.of(item, f"{path}/{i}", ()) for i, item in enumerate(value)])
        return self._object(value, path, leave_out)

    def _container(self, value: Any, path: str) -> Plain:
        if id(value) in self._open:
            return self._refuse(value, path)
        self._open.add(id(value))
        try:
            return _CONTAINERS[type(value)](self, value, path)
        finally:
            self._open.discard(id(value))

    def _items(self, values: Any, path: str) -> list[Plain]:
        return [self.of(item, f"{path}/{number}", ()) for number, item in enumerate(values)]

    def _dict(self, value: dict[Any, Any], path: str) -> Plain:
        pairs = [
            (self.of(key, f"{path}/key", ()), self.of(item, f"{path}/{key}", ()))
            for key, item in value.items()
        ]
        return (
            self._refuse(value, path) if any(key == STATIC for key, _ in pairs) else ("dict", pairs)
        )

    def _array(self, value: np.ndarray, path: str) -> Plain:
        if value.dtype.hasobject:
            return ("objects", value.shape, self._items(value.ravel().tolist(), path))
        return ("array", _dtype(value.dtype), value.shape, value.tobytes())

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
        if name not in _BIT_GENERATORS:
            return self._refuse(value, path)
        return ("generator", name, self.of(value.bit_generator.state, path, ()))

    def _object(self, value: Any, path: str, leave_out: Collection[str]) -> Plain:
        if id(value) in self._met:
            return STATIC  # where it was met first it is filled in place
        arrays = foreign_arrays(value)
        if arrays is None and not _is_transparent(value):
            return self._refuse(value, path)
        self._met[id(value)] = value
        if arrays is not None:
            return ("foreign", type(value).__qualname__, self.of(arrays, path, ()))
        attributes = {
            name: self.of(item, f"{path}/{name}", ())
            for name, item in _attributes(value).items()
            if name not in leave_out
        }
        return ("object", type(value).__qualname__, attributes)

    def _refuse(self, value: Any, path: str) -> Plain:
        if self._is_strict:
            raise OpaqueError(path, value)
        self.opaque[path] = value
        return STATIC

    def _enum(self, value: enum.Enum, path: str) -> Plain:
        return ("enum", type(value).__qualname__, self.of(value.value, path, ()))

    _known: Mapping[type, Callable[[Any, Any, str], Plain]] = {
        np.ndarray: _array,
        np.random.Generator: _generator,
        enum.Enum: _enum,
        spaces.Space: _space,
        complex: lambda _, value, __: ("complex", value.real, value.imag),
        np.generic: lambda _, value, __: ("scalar", value.dtype.str, value.tobytes()),
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


_CONTAINERS: Mapping[type, Callable[[_Capture, Any, str], Plain]] = {
    list: lambda self, value, path: ("list", self._items(value, path)),
    tuple: lambda self, value, path: ("tuple", self._items(value, path)),
    set: lambda self, value, path: ("set", self._items(value, path)),
    frozenset: lambda self, value, path: ("frozenset", self._items(value, path)),
    deque: lambda self, value, path: ("deque", value.maxlen, self._items(value, path)),
    **dict.fromkeys(
        (dict, OrderedDict, defaultdict, Counter), lambda self, value, path: self._dict(value, path)
    ),
    bytearray: lambda _, value, __: ("bytearray", bytes(value)),
}


def _is_transparent(value: Any) -> bool:
    """Whether all that an object keeps is in its attributes: its classes are written in Python."""
    if isinstance(value, types.SimpleNamespace):
        return True
    kinds = type(value).__mro__[:-1]
    return (
        bool(kinds)
        and all(kind.__flags__ & _HEAP_TYPE for kind in kinds)
        and (hasattr(value, "__dict__") or any("__slots__" in vars(kind) for kind in kinds))
    )


def _attributes(value: Any) -> dict[str, Any]:
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


def _dtype(dtype: np.dtype[Any]) -> Plain:
    """A dtype's own short name, or the description of its fields."""
    return dtype.str if dtype.names is None else ("fields", repr(dtype.descr))


# ---- the way back


def _restore(existing: Any, state: Plain, path: str) -> Any:
    if not isinstance(state, tuple):
        return state
    if state == STATIC:
        return existing
    return _FILLERS[state[0]](existing, state, path)


def _fill_list(existing: Any, state: Plain, path: str) -> Any:
    values = _restored_items(existing, state[1], path)
    if not isinstance(existing, list):
        return values
    existing[:] = values
    return existing


def _fill_dict(existing: Any, state: Plain, path: str) -> Any:
    before = existing if isinstance(existing, dict) else {}
    values = {}
    for key_state, item in state[1]:
        key = _restore(None, key_state, path)
        values[key] = _restore(before.get(key), item, f"{path}/{key}")
    if not isinstance(existing, dict):
        return values
    existing.clear()
    existing.update(values)
    return existing


def _fill_deque(existing: Any, state: Plain, path: str) -> Any:
    return deque(_restored_items(existing, state[2], path), maxlen=state[1])


def _fill_array(existing: Any, state: Plain, path: str) -> Any:
    _, dtype, shape, data = state
    same_form = isinstance(existing, np.ndarray) and existing.shape == tuple(shape)
    if isinstance(dtype, tuple):  # of named fields: only the object that is there knows them
        if not same_form or _dtype(existing.dtype) != dtype:
            raise MismatchError(f"{path}: an array of fields has another form")
        known = existing.dtype
    else:
        known = np.dtype(dtype)
    values = np.frombuffer(data, known).reshape(shape)
    if same_form and existing.dtype == known and existing.flags.writeable:
        existing[...] = values
        return existing
    return values.copy()


def _fill_objects(existing: Any, state: Plain, path: str) -> Any:
    _, shape, items = state
    before = existing.ravel().tolist() if isinstance(existing, np.ndarray) else None
    values = np.empty(len(items), dtype=object)
    for number, item in enumerate(_restored_items(before, items, path)):
        values[number] = item
    return values.reshape(shape)


def _fill_space(existing: Any, state: Plain, path: str) -> Any:
    _, own, parts = state
    if not isinstance(existing, spaces.Space):
        raise MismatchError(f"{path}: no space is there")
    if own is not None:
        existing._np_random = _restore(existing._np_random, own, path)
    inner: Any = getattr(existing, "spaces", ())
    for part, captured in zip(
        inner.values() if isinstance(inner, Mapping) else inner, parts, strict=True
    ):
        _restore(part, captured, path)
    return existing


def _fill_generator(existing: Any, state: Plain, path: str) -> Any:
    _, name, bits = state
    known = isinstance(existing, np.random.Generator)
    if not known or type(existing.bit_generator).__name__ != name:
        existing = np.random.Generator(_BIT_GENERATORS[name]())
    existing.bit_generator.state = _restore(None, bits, path)
    return existing


def _fill_legacy(existing: Any, state: Plain, path: str) -> Any:
    known = isinstance(existing, np.random.RandomState)
    generator = existing if known else np.random.RandomState()
    generator.set_state(_restore(None, state[1], path))
    return generator


def _fill_random(existing: Any, state: Plain, path: str) -> Any:
    generator = existing if isinstance(existing, random.Random) else random.Random()  # noqa: S311
    generator.setstate(_restore(None, state[1], path))
    return generator


def _fill_named(existing: Any, state: Plain, path: str) -> Any:
    if not hasattr(existing, "_fields"):
        raise MismatchError(f"{path}: no named tuple is there")
    return type(existing)._make(_restored_items(existing, state[1], path))


def _fill_enum(existing: Any, state: Plain, path: str) -> Any:
    _, name, value = state
    if type(existing).__qualname__ != name:
        raise MismatchError(f"{path}: no {name} is there")
    return type(existing)(_restore(existing.value, value, path))


def _fill_foreign(existing: Any, state: Plain, path: str) -> Any:
    _, name, arrays = state
    if type(existing).__qualname__ != name:
        raise MismatchError(f"{path}: no {name} is there")
    fill_foreign(existing, _restore(None, arrays, path))
    return existing


def _fill_tensor(existing: Any, state: Plain, _: str) -> Any:
    if not isinstance(existing, torch.Tensor):
        return from_tensor_bytes(state[1])
    value = from_tensor_bytes(state[1], existing.device)
    if existing.shape != value.shape or existing.dtype != value.dtype:
        return value
    with torch.no_grad():
        existing.copy_(value)
    return existing


def _fill_stateful(existing: Any, state: Plain, path: str) -> Any:
    """A network or an optimiser."""
    if not hasattr(existing, "load_state_dict"):
        raise MismatchError(f"{path}: no {state[0]} is there")
    existing.load_state_dict(from_tensor_bytes(state[1]))
    return existing


def _fill_torch(existing: Any, state: Plain, _: str) -> Any:
    generator = existing if isinstance(existing, torch.Generator) else torch.Generator()
    generator.set_state(from_tensor_bytes(state[1]))
    return generator


def _fill_object(existing: Any, state: Plain, path: str) -> Any:
    _, name, attributes = state
    if type(existing).__qualname__ != name:
        raise MismatchError(
            f"{path}: a {name} is expected, a {type(existing).__qualname__} is there"
        )
    before = _attributes(existing)
    for attribute, item in attributes.items():
        value = _restore(before.get(attribute), item, f"{path}/{attribute}")
        if value is not before.get(attribute) or attribute not in before:
            _set(existing, attribute, value)
    return existing


def _set(owner: Any, name: str, value: Any) -> None:
    """Set an attribute past properties and frozen classes."""
    own = getattr(owner, "__dict__", None)
    if own is not None and (name in own or not hasattr(type(owner), name)):
        own[name] = value
    else:
        object.__setattr__(owner, name, value)


def _restored_items(existing: Any, items: list[Plain], path: str) -> list[Any]:
    before = list(existing) if isinstance(existing, list | tuple | deque) else []
    before += [None] * (len(items) - len(before))
    return [_restore(before[number], item, f"{path}/{number}") for number, item in enumerate(items)]


_FILLERS: Mapping[str, Callable[[Any, Plain, str], Any]] = {
    "list": _fill_list,
    "tuple": lambda existing, state, path: tuple(_restored_items(existing, state[1], path)),
    "set": lambda _, state, path: set(_restored_items(None, state[1], path)),
    "frozenset": lambda _, state, path: frozenset(_restored_items(None, state[1], path)),
    "deque": _fill_deque,
    "dict": _fill_dict,
    "bytearray": lambda _, state, __: bytearray(state[1]),
    "array": _fill_array,
    "objects": _fill_objects,
    "scalar": lambda _, state, __: np.frombuffer(state[2], np.dtype(state[1]))[0],
    "complex": lambda _, state, __: complex(state[1], state[2]),
    "enum": _fill_enum,
    "foreign": _fill_foreign,
    "space": _fill_space,
    "generator": _fill_generator,
    "legacy": _fill_legacy,
    "random": _fill_random,
    "named": _fill_named,
    "tensor": _fill_tensor,
    "module": _fill_stateful,
    "optimizer": _fill_stateful,
    "torch": _fill_torch,
    "object": _fill_object,
}
