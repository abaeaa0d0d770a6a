"""The way back: plain data put into an object that was built the same way."""

from __future__ import annotations

import functools
import random
import types
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from .foreign import fill_foreign
from .objects import (
    BIT_GENERATORS,
    DICTIONARIES,
    STATIC,
    MismatchError,
    Plain,
    attributes_of,
    cells_of,
    dtype_of,
    from_tensor_bytes,
    is_value,
    name_of,
)


def restore(existing: Any, state: Plain) -> Any:
    """The value that was captured, in which the objects of `existing` are filled in place.

    Raises:
        MismatchError: when `existing` was built differently.
    """
    return _Restore().of(existing, state, "")


class _Restore:
    """One walk through what was captured, beside what is there."""

    def __init__(self) -> None:
        self.made: dict[int, Any] = {}
        """What was told, by its number."""
        self._filled: dict[int, object] = {}
        """What was there and is filled, by its id."""

    def of(self, existing: Any, state: Plain, path: str) -> Any:
        if not isinstance(state, tuple):
            return state
        tag = state[0]
        if tag == STATIC:
            return _left_as_it_is(existing, state[1], path)
        if tag == "again":
            if state[1] not in self.made:
                raise MismatchError(f"{path}: what it is was left out")
            return self.made[state[1]]
        if tag != "one":
            return _FILLERS[tag](self, existing, state, path)
        _, number, told = state
        if told[0] in _PARENTS:
            return _PARENTS[told[0]](self, existing, told, path, number)
        self.made[number] = self.of(existing, told, path)
        return self.made[number]

    def place(self, existing: Any, kind: type = object) -> Any:
        """What is there, if it can be filled: it is of this kind, and nothing is in it yet."""
        if not isinstance(existing, kind) or id(existing) in self._filled:
            return None
        self._filled[id(existing)] = existing
        return existing

    def items(self, existing: Any, states: list[Plain], path: str) -> Iterator[Any]:
        before = list(existing) if isinstance(existing, list | tuple | deque) else []
        before += [None] * (len(states) - len(before))
        for number, state in enumerate(states):
            yield self.of(before[number], state, f"{path}/{number}")


def _left_as_it_is(existing: Any, name: str, path: str) -> Any:
    if existing is None or name_of(existing) != name:
        found = "nothing" if existing is None else name_of(existing) or type(existing).__qualname__
        raise MismatchError(f"{path}: {found} is there, not {name or 'what was'}")
    return existing


def _fill_list(walk: _Restore, existing: Any, state: Plain, path: str, number: int) -> Any:
    values: list[Any] = []
    walk.made[number] = values
    values.extend(walk.items(existing, state[1], path))
    return values


def _fill_set(walk: _Restore, _: Any, state: Plain, path: str, number: int) -> Any:
    values: set[Any] = set()
    walk.made[number] = values
    values.update(walk.items(None, state[1], path))
    return values


def _fill_deque(walk: _Restore, existing: Any, state: Plain, path: str, number: int) -> Any:
    values: deque[Any] = deque(maxlen=state[1])
    walk.made[number] = values
    values.extend(walk.items(existing, state[2], path))
    return values


def _fill_dict(walk: _Restore, existing: Any, state: Plain, path: str, number: int) -> Any:
    _, name, pairs = state
    kind = DICTIONARIES[name]
    before = existing if isinstance(existing, dict) else {}
    values: dict[Any, Any] = kind()
    if isinstance(values, defaultdict):
        if not isinstance(existing, defaultdict):
            raise MismatchError(f"{path}: no defaultdict is there")
        values.default_factory = existing.default_factory
    walk.made[number] = values
    for key_state, item in pairs:
        key = walk.of(None, key_state, path)
        values[key] = walk.of(before.get(key), item, f"{path}/{key}")
    return values


def _fill_object(walk: _Restore, existing: Any, state: Plain, path: str, number: int) -> Any:
    _, name, attributes, left_out = state
    if type(existing).__qualname__ != name:
        raise MismatchError(
            f"{path}: a {name} is expected, a {type(existing).__qualname__} is there"
        )
    before = attributes_of(existing)
    filled = None if is_value(existing) else walk.place(existing)
    walk.made[number] = filled = _twin(existing) if filled is None else filled
    for attribute, item in attributes.items():
        value = walk.of(before.get(attribute), item, f"{path}/{attribute}")
        if value is not before.get(attribute) or attribute not in before:
            _set(filled, attribute, value)
    for surplus in attributes_of(filled).keys() - {*attributes, *left_out}:
        object.__delattr__(filled, surplus)
    return filled


def _twin(existing: Any) -> Any:
    """Another object with the same attributes."""
    kind = type(existing)
    plainest: Any = types.SimpleNamespace if issubclass(kind, types.SimpleNamespace) else object
    twin = plainest.__new__(kind)
    for attribute, value in attributes_of(existing).items():
        _set(twin, attribute, value)
    return twin


def _set(owner: Any, name: str, value: Any) -> None:
    """Set an attribute past properties and frozen classes."""
    own = getattr(owner, "__dict__", None)
    if own is not None and (name in own or not hasattr(type(owner), name)):
        own[name] = value
    else:
        object.__setattr__(owner, name, value)


def _fill_array(_: _Restore, existing: Any, state: Plain, path: str) -> Any:
    __, told, shape, data = state
    dtype = _known_dtype(existing, told, path)
    values = _from_bytes(data, dtype, shape)
    if _is_window(existing) and (existing.shape, existing.dtype) == (values.shape, dtype):
        existing[...] = values
        return existing
    return values


def _fill_path(_: _Restore, existing: Any, state: Plain, path: str) -> Any:
    if not isinstance(existing, PurePath):
        raise MismatchError(f"{path}: no path is there")
    return type(existing)(state[1])


def _fill_partial(walk: _Restore, existing: Any, state: Plain, path: str) -> Any:
    if not isinstance(existing, functools.partial):
        raise MismatchError(f"{path}: no partial call is there")
    before = [existing.func, existing.args, existing.keywords]
    function, arguments, keywords = walk.items(before, state[1], path)
    return functools.partial(function, *arguments, **keywords)


def _fill_method(walk: _Restore, existing: Any, state: Plain, path: str) -> Any:
    _, name, owner = state
    if not isinstance(existing, types.MethodType) or existing.__func__.__qualname__ != name:
        raise MismatchError(f"{path}: no method {name} is there")
    told = walk.of(existing.__self__, owner, path)
    return existing if told is existing.__self__ else types.MethodType(existing.__func__, told)


def _fill_function(walk: _Restore, existing: Any, state: Plain, path: str) -> Any:
    _, name, told = state
    _left_as_it_is(existing, name, path)
    before = cells_of(existing)
    cells = dict(zip(existing.__code__.co_freevars, existing.__closure__ or (), strict=True))
    for part, item in told.items():
        cells[part].cell_contents = walk.of(before.get(part), item, f"{path}/{part}")
    return existing


def _is_window(existing: Any) -> bool:
    """Whether an array lies in memory that something else than an array owns."""
    return (
        isinstance(existing, np.ndarray)
        and existing.flags.writeable
        and existing.base is not None
        and not isinstance(existing.base, np.ndarray)
    )


def _fill_view(walk: _Restore, existing: Any, state: Plain, path: str) -> Any:
    _, base_state, told, shape, strides, offset = state
    before = existing.base if isinstance(existing, np.ndarray) else None
    base = walk.of(before, base_state, path)
    return np.ndarray(shape, _known_dtype(existing, told, path), base, offset, strides)


def _known_dtype(existing: Any, told: Plain, path: str) -> np.dtype[Any]:
    """The dtype that was told; one of named fields is known only by what is there."""
    if not isinstance(told, tuple):
        return np.dtype(told)
    dtype = getattr(existing, "dtype", None)
    if not isinstance(dtype, np.dtype) or dtype_of(dtype) != told:
        raise MismatchError(f"{path}: an array of fields has another form")
    return dtype


def _from_bytes(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    if not data or not dtype.itemsize:  # nothing in it, or an empty text
        return np.zeros(shape, dtype)
    return np.frombuffer(data, dtype).reshape(shape).copy()


def _fill_scalar(_: _Restore, existing: Any, state: Plain, path: str) -> Any:
    return _from_bytes(state[2], _known_dtype(existing, state[1], path), ())[()]


def _fill_objects(walk: _Restore, existing: Any, state: Plain, path: str) -> Any:
    _, shape, items = state
    before = existing.ravel().tolist() if isinstance(existing, np.ndarray) else None
    values = np.empty(len(items), dtype=object)
    for number, item in enumerate(walk.items(before, items, path)):
        values[number] = item
    return values.reshape(shape)


def _fill_space(walk: _Restore, existing: Any, state: Plain, path: str) -> Any:
    _, own, parts = state
    if not isinstance(existing, spaces.Space):
        raise MismatchError(f"{path}: no space is there")
    if own is not None:
        existing._np_random = walk.of(existing._np_random, own, path)
    inner: Any = getattr(existing, "spaces", ())
    for part, captured in zip(
        inner.values() if isinstance(inner, Mapping) else inner, parts, strict=True
    ):
        walk.of(part, captured, path)
    return existing


def _fill_generator(walk: _Restore, existing: Any, state: Plain, path: str) -> Any:
    _, name, bits = state
    generator = walk.place(existing, np.random.Generator)
    if generator is None or type(generator.bit_generator).__name__ != name:
        generator = np.random.Generator(BIT_GENERATORS[name]())
    generator.bit_generator.state = walk.of(None, bits, path)
    return generator


def _fill_legacy(walk: _Restore, existing: Any, state: Plain, path: str) -> Any:
    generator = walk.place(existing, np.random.RandomState)
    generator = np.random.RandomState() if generator is None else generator
    generator.set_state(walk.of(None, state[1], path))
    return generator


def _fill_random(walk: _Restore, existing: Any, state: Plain, path: str) -> Any:
    generator = walk.place(existing, random.Random)
    generator = random.Random() if generator is None else generator  # noqa: S311
    generator.setstate(walk.of(None, state[1], path))
    return generator


def _fill_named(walk: _Restore, existing: Any, state: Plain, path: str) -> Any:
    if not hasattr(existing, "_fields"):
        raise MismatchError(f"{path}: no named tuple is there")
    return type(existing)._make(walk.items(existing, state[1], path))


def _fill_enum(walk: _Restore, existing: Any, state: Plain, path: str) -> Any:
    _, name, value = state
    if type(existing).__qualname__ != name:
        raise MismatchError(f"{path}: no {name} is there")
    return type(existing)(walk.of(existing.value, value, path))


def _fill_foreign(walk: _Restore, existing: Any, state: Plain, path: str) -> Any:
    _, name, arrays = state
    if type(existing).__qualname__ != name:
        raise MismatchError(f"{path}: no {name} is there")
    fill_foreign(existing, walk.of(None, arrays, path))
    return existing


def _fill_tensor(walk: _Restore, existing: Any, state: Plain, _: str) -> Any:
    tensor = walk.place(existing, torch.Tensor)
    value = from_tensor_bytes(state[1], existing.device if tensor is not None else "cpu")
    if tensor is None or tensor.shape != value.shape or tensor.dtype != value.dtype:
        return value
    with torch.no_grad():
        tensor.copy_(value)
    return tensor


def _fill_stateful(_: _Restore, existing: Any, state: Plain, path: str) -> Any:
    """A network or an optimiser."""
    if not hasattr(existing, "load_state_dict"):
        raise MismatchError(f"{path}: no {state[0]} is there")
    existing.load_state_dict(from_tensor_bytes(state[1]))
    return existing


def _fill_torch(walk: _Restore, existing: Any, state: Plain, _: str) -> Any:
    generator = walk.place(existing, torch.Generator)
    generator = torch.Generator() if generator is None else generator
    generator.set_state(from_tensor_bytes(state[1]))
    return generator


_FILLERS: Mapping[str, Callable[[_Restore, Any, Plain, str], Any]] = {
    "tuple": lambda walk, existing, state, path: tuple(walk.items(existing, state[1], path)),
    "frozenset": lambda walk, _, state, path: frozenset(walk.items(None, state[1], path)),
    "complex": lambda _, __, state, ___: complex(state[1], state[2]),
    "range": lambda _, __, state, ___: range(*state[1:]),
    "slice": lambda walk, _, state, path: slice(*walk.items(None, state[1], path)),
    "bytearray": lambda _, __, state, ___: bytearray(state[1]),
    "array": _fill_array,
    "view": _fill_view,
    "path": _fill_path,
    "partial": _fill_partial,
    "method": _fill_method,
    "function": _fill_function,
    "objects": _fill_objects,
    "scalar": _fill_scalar,
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
}
_PARENTS: Mapping[str, Callable[[_Restore, Any, Plain, str, int], Any]] = {
    "list": _fill_list,
    "set": _fill_set,
    "deque": _fill_deque,
    "dict": _fill_dict,
    "object": _fill_object,
}
"""Those that may lead back to themselves: they are known before their parts are."""
