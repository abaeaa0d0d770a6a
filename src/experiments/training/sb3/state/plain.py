"""Any object's changing parts as plain data, and back into an object that was built the same way.

Nothing is constructed from what was captured but numbers, texts, containers, arrays, tensors and
random generators; these are made anew, because what is there may be shared with others that must
not change: a constant, say, of which every episode begins. Everything else is filled in place: an
object that was built from the same configuration has the same classes, functions and modules
already. What was one thing in two places is one thing in two places again.
"""

from __future__ import annotations

import enum
import functools
import io
import logging
import numbers
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

STATIC = "static"
"""Tag of what the configuration makes anew: it is left as it is, and has the same name."""

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
_DICTIONARIES = {kind.__name__: kind for kind in (dict, OrderedDict, defaultdict, Counter)}
_LARGEST_BASE = 1 << 16
"""Bytes of an array of which a view is told as such; of a larger one the view is told alone."""
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
    """The value that was captured, in which the objects of `existing` are filled in place.

    Raises:
        MismatchError: when `existing` was built differently.
    """
    return _Restore().of(existing, state, "")


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
    """One walk through a value; what is met again is told by the number that it got at first."""

    def __init__(self, *, is_strict: bool = True) -> None:
        self._is_strict = is_strict
        self._met: dict[int, tuple[int, object]] = {}
        """Number of what was met, by its id; it is kept so that nothing else gets the same id."""
        self._open: set[int] = set()
        self.opaque: dict[str, object] = {}

    def of(self, value: Any, path: str, leave_out: Collection[str]) -> Plain:
        kind = type(value)
        if kind in _SCALARS:
            return value
        if isinstance(value, _STATIC_KINDS):
            return (STATIC, _name(value))
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
        if any(_is_static(key) for key, _ in pairs):
            return self._refuse(value, path)
        return ("dict", type(value).__name__, pairs)

    def _set(self, value: set[Any] | frozenset[Any], path: str) -> Plain:
        items = self._items(value, path)
        if any(map(_is_static, items)):
            return self._refuse(value, path)
        return (type(value).__name__, items)

    def _array(self, value: np.ndarray, path: str) -> Plain:
        if value.dtype.hasobject:
            return ("objects", value.shape, self._items(value.ravel().tolist(), path))
        if type(value) is not np.ndarray:  # it may have a mask, or units
            return self._refuse(value, path)
        base = value.base
        if type(base) is np.ndarray and _is_small_and_plain(base):
            form = _dtype(value.dtype), value.shape, value.strides, _address(value) - _address(base)
            return ("view", self.of(base, path, ()), *form)
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
        arrays = foreign_arrays(value)
        if arrays is None and not _is_transparent(value):
            return self._refuse(value, path)
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
        return (STATIC, "")

    def _enum(self, value: enum.Enum, path: str) -> Plain:
        return ("enum", type(value).__qualname__, self.of(value.value, path, ()))

    _known: Mapping[type, Callable[[Any, Any, str], Plain]] = {
        np.ndarray: _array,
        np.random.Generator: _generator,
        enum.Enum: _enum,
        spaces.Space: _space,
        np.generic: lambda _, value, __: ("scalar", _dtype(value.dtype), value.tobytes()),
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
    **dict.fromkeys(_DICTIONARIES.values(), _Capture._dict),
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


def _name(value: Any) -> str:
    """What tells functions and classes apart; an object may exchange one for another."""
    is_named = isinstance(value, types.FunctionType | types.MethodType | types.BuiltinFunctionType)
    return getattr(value, "__qualname__", "") if is_named or isinstance(value, type) else ""


def _is_static(state: Plain) -> bool:
    return isinstance(state, tuple) and state[0] == STATIC


def _is_value(value: Any) -> bool:
    """Whether an object never changes, so that many may share it."""
    parameters = getattr(type(value), "__dataclass_params__", None)
    return isinstance(value, numbers.Number) or (parameters is not None and parameters.frozen)


def _dtype(dtype: np.dtype[Any]) -> Plain:
    """A dtype's own short name, or the description of its fields."""
    return dtype.str if dtype.names is None else ("fields", repr(dtype.descr))


def _is_small_and_plain(base: np.ndarray) -> bool:
    kept = base.flags.c_contiguous and base.nbytes <= _LARGEST_BASE
    return kept and base.dtype.kind not in "OmMV"


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


# ---- the way back


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
    if existing is None or _name(existing) != name:
        found = "nothing" if existing is None else _name(existing) or type(existing).__qualname__
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
    kind = _DICTIONARIES[name]
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
    _, name, attributes = state
    if type(existing).__qualname__ != name:
        raise MismatchError(
            f"{path}: a {name} is expected, a {type(existing).__qualname__} is there"
        )
    before = _attributes(existing)
    filled = None if _is_value(existing) else walk.place(existing)
    walk.made[number] = filled = _twin(existing) if filled is None else filled
    for attribute, item in attributes.items():
        value = walk.of(before.get(attribute), item, f"{path}/{attribute}")
        if value is not before.get(attribute) or attribute not in before:
            _set(filled, attribute, value)
    return filled


def _twin(existing: Any) -> Any:
    """Another object with the same attributes."""
    kind = type(existing)
    plainest: Any = types.SimpleNamespace if issubclass(kind, types.SimpleNamespace) else object
    twin = plainest.__new__(kind)
    for attribute, value in _attributes(existing).items():
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
    if not isinstance(dtype, np.dtype) or _dtype(dtype) != told:
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
        generator = np.random.Generator(_BIT_GENERATORS[name]())
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
