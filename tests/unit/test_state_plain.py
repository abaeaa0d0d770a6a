"""Any object's changing parts as plain data, and back into one that was built the same way."""

from __future__ import annotations

import enum
import functools
import io
import itertools
import pickle
import random
import threading
import types
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from src.experiments.durability.checkpoints import PlainUnpickler
from src.experiments.training.sb3.state.plain import (
    MismatchError,
    OpaqueError,
    capture,
    generators,
    opaque_parts,
    restore,
)
from tests.checkpoint_bytes import pack, unpack


def through_a_file(state: Any) -> Any:
    return unpack(pack({"state": state}), Path("checkpoint_1.pkl"))["state"]


def round_trip(value: Any, existing: Any = None) -> Any:
    return restore(existing, through_a_file(capture(value)))


def assert_same(ours: Any, theirs: Any) -> None:
    """Equal in kind and in every bit, NaN included."""
    assert type(ours) is type(theirs)
    if isinstance(ours, np.ndarray | np.generic):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        if not ours.dtype.hasobject:
            assert ours.tobytes() == theirs.tobytes()
            return
        ours, theirs = ours.ravel().tolist(), theirs.ravel().tolist()
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        ours, theirs = list(ours.values()), list(theirs.values())
    if isinstance(ours, list | tuple | deque):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    elif isinstance(ours, float | complex):
        assert repr(ours) == repr(theirs)
    else:
        assert ours == theirs


# ---- data

keys = st.text(max_size=4) | st.integers() | st.tuples(st.integers(), st.booleans())
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | npst.arrays(npst.scalar_dtypes(), npst.array_shapes(min_dims=0, min_side=0, max_side=3))
    | npst.scalar_dtypes().flatmap(lambda dtype: npst.arrays(dtype, ())).map(lambda one: one[()])
    | st.builds(bytearray, st.binary(max_size=5))
    | st.frozensets(st.integers(), max_size=3)
    | st.sets(st.text(max_size=3), max_size=3)
    | st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 3))
    | st.builds(slice, st.none() | st.integers(), st.none() | st.integers())
)
nested = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
        | st.dictionaries(keys, inner, max_size=3).map(OrderedDict)
        | st.builds(deque, st.lists(inner, max_size=3), st.none() | st.integers(0, 4))
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(nested)
def test_data_comes_back_as_it_was(value: Any) -> None:
    assert_same(value, round_trip(value))


@settings(deadline=None, max_examples=30)
@given(nested, nested)
def test_data_comes_back_whatever_was_there(value: Any, existing: Any) -> None:
    assert_same(value, round_trip(value, existing))


@pytest.mark.parametrize(
    "value",
    [
        np.str_(""),
        np.bytes_(b""),
        np.complex128(1 + 2j),
        np.longdouble("0.1"),
        np.datetime64("2020-01-01", "s"),
        np.array([], dtype="<U3"),
        np.array("text"),
        np.zeros((0, 3)),
        np.arange(6, dtype=">i4").reshape(2, 3)[:, ::-1],
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.broadcast_to(np.arange(3), (2, 3)),
        np.array([None, "x", [1, 2]], dtype=object),
        np.array(np.zeros(2), dtype=object).reshape(1, 2),
    ],
    ids=lambda value: f"{type(value).__name__} {value.dtype}{value.shape}",
)
def test_unusual_arrays_and_scalars_come_back(value: Any) -> None:
    assert_same(value, round_trip(value))


RECORD = np.dtype([("position", "<f4", (2,)), ("alive", "?")])


@pytest.mark.parametrize("make", [lambda: np.zeros(3, RECORD), lambda: np.zeros((), RECORD)[()]])
def test_fields_are_filled_into_an_array_that_has_them(make: Any) -> None:
    value = make()
    value["position"], value["alive"] = 1.5, True

    assert_same(value, round_trip(value, make()))


@pytest.mark.parametrize("there", [None, np.zeros(3), np.zeros(3, np.dtype([("x", "<f4")]))])
def test_fields_that_are_not_there_are_a_mismatch(there: Any) -> None:
    with pytest.raises(MismatchError, match="fields"):
        round_trip({"record": np.zeros(3, RECORD)}, {"record": there})


def test_kinds_of_dictionaries_keep_what_they_do() -> None:
    there = defaultdict(list, {"old": [0]})
    filled = round_trip(defaultdict(list, {"a": [1]}), there)
    filled["b"].append(2)

    assert dict(filled) == {"a": [1], "b": [2]}
    assert_same(Counter("aab"), round_trip(Counter("aab")))


def test_a_defaultdict_needs_one_that_knows_its_default() -> None:
    with pytest.raises(MismatchError, match="/counts: no defaultdict"):
        round_trip({"counts": defaultdict(int)}, {"counts": {}})


# ---- kinds that only the object that is there can know


class Phase(enum.Enum):
    WALK = "walk"
    REST = (1, 2)


class Point(NamedTuple):
    x: float
    y: np.ndarray


@pytest.mark.parametrize(
    ("value", "there"),
    [(Phase.REST, Phase.WALK), (Point(1.0, np.ones(2)), Point(0.0, np.zeros(2)))],
)
def test_an_enum_or_a_named_tuple_is_made_from_the_kind_that_is_there(
    value: Any, there: Any
) -> None:
    assert_same(value, round_trip([value], [there])[0])


@pytest.mark.parametrize("value", [Phase.REST, Point(1.0, np.ones(2))])
def test_a_kind_that_is_not_there_is_a_mismatch(value: Any) -> None:
    with pytest.raises(MismatchError, match="/0: no "):
        round_trip([value], [3])


class Slotted:
    __slots__ = ("count", "inner")

    def __init__(self, count: int, inner: Any = None) -> None:
        self.count, self.inner = count, inner


class SlottedChild(Slotted):
    __slots__ = ("speed",)

    def __init__(self, count: int, speed: float) -> None:
        super().__init__(count)
        self.speed = speed


@dataclass(frozen=True)
class Place:
    x: int
    path: list[int] = field(default_factory=list)


class World:
    """Mutable, with parts of all sorts."""

    def __init__(self) -> None:
        self.tick = 0
        self.robot = SlottedChild(1, 0.5)
        self.place = Place(0)
        self.notes = types.SimpleNamespace(last=None)
        self.goal: Any = None
        self.ratio = Fraction(1, 3)

    @property
    def doubled(self) -> int:
        return 2 * self.tick

    def moved(self) -> World:
        self.tick += 3
        self.robot.count, self.robot.speed = 7, 2.5
        self.place = Place(self.place.x + 1, [1, 2])
        self.notes.last = np.ones(2)
        self.goal = "north"
        self.ratio += 1
        return self


def test_an_object_is_filled_in_place_through_slots_and_frozen_classes() -> None:
    there = World()
    robot = there.robot
    filled = round_trip(World().moved(), there)

    assert filled is there
    assert filled.robot is robot
    assert (there.tick, robot.count, robot.speed) == (3, 7, 2.5)
    assert there.place == Place(1, [1, 2])
    assert (there.notes.last.tolist(), there.goal) == ([1.0, 1.0], "north")
    assert there.ratio == Fraction(4, 3)


def test_attributes_that_are_left_out_stay_as_they_are() -> None:
    there = World()
    restore(there, through_a_file(capture(World().moved(), ("robot", "goal"))))

    assert (there.tick, there.goal, there.robot.count) == (3, None, 1)


def test_a_property_is_no_part_of_the_state() -> None:
    assert "doubled" not in repr(capture(World()))


def test_an_object_of_another_kind_is_a_mismatch() -> None:
    there = World()
    there.robot = 3  # type: ignore[assignment]

    with pytest.raises(MismatchError, match="/robot: a SlottedChild is expected, a int is there"):
        round_trip(World(), there)


# ---- one thing in several places


def test_a_cycle_of_objects_comes_back() -> None:
    def ring(count: int) -> Slotted:
        first = Slotted(count)
        first.inner = Slotted(count + 1, first)
        return first

    there = ring(0)
    round_trip(ring(5), there)

    assert (there.count, there.inner.count) == (5, 6)
    assert there.inner.inner is there


@pytest.mark.parametrize(
    "shared",
    [
        [1, 2],
        {"a": 1},
        deque([1], maxlen=3),
        {1, 2},
        np.arange(3),
        np.random.default_rng(3),
        World(),
        torch.ones(2),
    ],
    ids=lambda shared: type(shared).__name__,
)
def test_what_is_one_thing_in_two_places_is_one_again(shared: Any) -> None:
    def pair(first: Any, second: Any) -> Slotted:
        return Slotted(first, [second])

    # wherever the two were one thing before, or not, or one was not there at all
    for there in (pair(shared, shared), pair(World(), World()), pair(World(), None)):
        if type(there.count) is not type(shared) and isinstance(shared, World | torch.Tensor):
            continue
        filled = round_trip(pair(shared, shared), there)

        assert filled.count is filled.inner[0]


@pytest.mark.parametrize(
    ("shared", "moved"),
    [
        ([0, 0], [5, 3]),
        ({"x": 0}, {"x": 5}),
        (np.zeros(2), np.ones(2)),
        (deque([0]), deque([5])),
        (Place(0), Place(5)),
        (Slotted(0), Slotted(5)),
        (np.random.default_rng(1), np.random.default_rng(2)),
        (random.Random(1), random.Random(2)),
        (np.random.RandomState(1), np.random.RandomState(2)),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("start_first", [True, False])
def test_what_was_two_things_is_two_again_though_one_is_there(
    shared: Any, moved: Any, start_first: bool
) -> None:
    def pair(start: Any, state: Any) -> dict[str, Any]:
        both = {"start": start, "state": state}
        return both if start_first else dict(reversed(both.items()))

    told = capture(shared)
    filled = round_trip(pair(shared, moved), pair(shared, shared))

    assert filled["start"] is not filled["state"]
    assert capture(filled["start"]) == told
    assert capture(filled["state"]) == capture(moved)


CONSTANT = np.zeros(2)
LEVEL = [[0, 1], [1, 0]]
ORIGIN = Place(0)


def test_a_constant_that_an_object_begins_with_is_not_changed() -> None:
    there = types.SimpleNamespace(state=CONSTANT, level=LEVEL, place=ORIGIN)
    moved = types.SimpleNamespace(state=np.ones(2), level=[[9, 9]], place=Place(4, [1]))
    round_trip(moved, there)

    assert (there.state.tolist(), there.level, there.place) == ([1, 1], [[9, 9]], Place(4, [1]))
    assert (CONSTANT.tolist(), LEVEL, ORIGIN) == ([0, 0], [[0, 1], [1, 0]], Place(0))


def test_a_view_looks_at_its_array_again() -> None:
    def body(value: float) -> types.SimpleNamespace:
        state = np.full((2, 3), value)
        return types.SimpleNamespace(position=state[0, ::-1], state=state, corner=state[1:, 1:])

    for there in (body(0.0), types.SimpleNamespace(position=None, state=None, corner=None)):
        filled = round_trip(body(2.0), there)
        filled.state[0] = (1, 2, 3)
        filled.corner[:] = 7

        assert filled.position.tolist() == [3, 2, 1]
        assert filled.state[1].tolist() == [2, 7, 7]


def test_a_view_of_a_large_array_is_told_alone() -> None:
    large = np.zeros(1 << 20)

    assert len(pack({"state": capture(large[:4])})) < 2000
    assert_same(large[:4], round_trip(large[:4]))


def test_memory_of_others_is_written_to() -> None:
    memory = bytearray(16)
    there = np.frombuffer(memory, np.float64)
    round_trip({"shared": np.array([1.0, 2.0])}, {"shared": there})

    assert np.frombuffer(memory, np.float64).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("kind", [list, dict, deque])
def test_a_container_in_itself_is_refused(kind: Any) -> None:
    value = kind()
    if kind is dict:
        value["self"] = value
    else:
        value.append(value)

    with pytest.raises(OpaqueError):
        capture(value)


# ---- randomness


def generator_of(bits: type) -> np.random.Generator:
    return np.random.Generator(bits(5))


@pytest.mark.parametrize(
    "make",
    [
        functools.partial(generator_of, np.random.PCG64),
        functools.partial(generator_of, np.random.PCG64DXSM),
        functools.partial(generator_of, np.random.MT19937),
        functools.partial(generator_of, np.random.Philox),
        functools.partial(np.random.RandomState, 5),
        functools.partial(random.Random, 5),
        functools.partial(torch.Generator().manual_seed, 5),
    ],
    ids=["PCG64", "PCG64DXSM", "MT19937", "Philox", "RandomState", "Random", "torch"],
)
@pytest.mark.parametrize("is_there", [True, False])
def test_a_generator_goes_on_where_it_was(make: Any, is_there: bool) -> None:
    def draw(generator: Any) -> list[float]:
        if isinstance(generator, torch.Generator):
            return torch.randn(3, generator=generator).tolist()
        normal = getattr(generator, "normalvariate", None) or generator.normal
        return [float(normal(0, 1)) for _ in range(3)]  # an odd count leaves half a pair

    def another() -> Any:
        return torch.Generator() if isinstance(one, torch.Generator) else make()

    one = make()
    draw(one)
    told = through_a_file(capture([one]))
    expected = draw(one)
    there = another() if is_there else None
    (filled,) = restore([there], told)

    assert filled is there or not is_there
    assert draw(filled) == expected


def test_a_generator_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(OpaqueError, match=r"/rng is a numpy\.random\._generator\.Generator"):
        capture({"rng": np.random.Generator(np.random.SFC64(1))})


def test_the_generators_of_spaces_go_on_those_inside_too() -> None:
    def make(seed: int) -> spaces.Dict:
        space = spaces.Dict(
            {
                "two": spaces.Tuple([spaces.Discrete(1000), spaces.Box(0, 1, (2,))]),
                "many": spaces.MultiDiscrete([9, 9]),
            }
        )
        space.seed(seed)
        return space

    one, there = make(1), make(2)
    one.sample()
    told = through_a_file(capture(one))
    expected = one.sample()

    assert restore(there, told) is there
    assert repr(there.sample()) == repr(expected)


def test_a_space_is_expected_where_one_was() -> None:
    with pytest.raises(MismatchError, match="/space: no space"):
        round_trip({"space": spaces.Discrete(2)}, {"space": 2})


def test_generators_are_found_wherever_they_are() -> None:
    environment = gym.make("CartPole-v1")
    environment.reset(seed=1)
    environment.action_space.seed(2)
    found = generators(environment)

    assert environment.unwrapped.np_random in found.values()
    assert environment.action_space.np_random in found.values()
    assert len(found) == len({id(each) for each in found.values()})


# ---- PyTorch


def test_tensors_are_filled_in_place_where_they_fit() -> None:
    there = {"a": torch.zeros(2), "b": torch.zeros(3)}
    first = there["a"]
    filled = round_trip({"a": torch.ones(2), "b": torch.ones(2).bfloat16()}, there)

    assert filled["a"] is first
    assert first.tolist() == [1, 1]
    assert filled["b"].dtype == torch.bfloat16


def test_a_parameter_stays_the_one_that_is_optimised() -> None:
    there = types.SimpleNamespace(weight=torch.nn.Parameter(torch.zeros(2)))
    weight = there.weight
    round_trip(types.SimpleNamespace(weight=torch.nn.Parameter(torch.ones(2))), there)

    assert there.weight is weight
    assert (weight.tolist(), weight.requires_grad) == ([1, 1], True)


def test_a_network_and_its_optimiser_go_on() -> None:
    def make(seed: int) -> dict[str, Any]:
        torch.manual_seed(seed)
        network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
        return {"network": network, "optimizer": torch.optim.Adam(network.parameters())}

    def step(both: dict[str, Any]) -> list[Any]:
        both["optimizer"].zero_grad()
        both["network"](torch.arange(8.0).reshape(4, 2)).pow(2).sum().backward()
        both["optimizer"].step()
        return [each.tolist() for each in both["network"].state_dict().values()]

    with torch.random.fork_rng():
        one, there = make(1), make(2)
    step(one)
    told = through_a_file(capture(one))
    restore(there, told)

    assert step(there) == step(one)


@pytest.mark.parametrize("kind", ["module", "optimizer"])
def test_a_network_or_an_optimiser_is_expected_where_one_was(kind: str) -> None:
    network = torch.nn.Linear(1, 1)
    value = network if kind == "module" else torch.optim.SGD(network.parameters())

    with pytest.raises(MismatchError, match=f"/0: no {kind} is there"):
        round_trip([value], [None])


# ---- what cannot be told, and what does not fit


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (threading.Lock(), "_thread.lock"),
        (itertools.count(), "itertools.count"),
        ((x for x in ()), "builtins.generator"),
        (io.BytesIO(), "_io.BytesIO"),
        (np.ma.array([1, 2], mask=[0, 1]), r"numpy\.ma.*\.MaskedArray"),
        ({print, len}, "builtins.set"),
        (frozenset([Place]), "builtins.frozenset"),
        ({print: 1}, "builtins.dict"),
    ],
)
def test_what_cannot_be_told_is_named_with_its_path(value: Any, kind: str) -> None:
    world = World()
    world.goal = {"parts": [0, value]}

    with pytest.raises(OpaqueError, match=f"^/goal/parts/1 is a {kind}$") as caught:
        capture(world)
    assert caught.value.path == "/goal/parts/1"


def test_the_value_itself_may_be_opaque() -> None:
    with pytest.raises(OpaqueError, match=r"^it is a _thread\.lock$"):
        capture(threading.Lock())


def test_an_object_that_hides_state_in_a_compiled_base_is_refused() -> None:
    class Counting(itertools.count):  # type: ignore[type-arg]
        pass

    with pytest.raises(OpaqueError):
        capture([Counting()])


def test_all_opaque_parts_are_found_with_their_paths() -> None:
    lock, count = threading.Lock(), itertools.count()
    parts = opaque_parts({"a": [lock], "b": World(), "c": {"d": count}})

    assert parts == {"/a/0": lock, "/c/d": count}


def test_functions_and_classes_are_left_as_they_are() -> None:
    world = types.SimpleNamespace(call=len, kind=World, bound=World().moved, n=1)
    there = types.SimpleNamespace(call=len, kind=World, bound=World().moved, n=0)
    bound = there.bound
    round_trip(world, there)

    assert (there.call, there.kind, there.n) == (len, World, 1)
    assert there.bound is bound


@pytest.mark.parametrize("there", [None, print, World])
def test_another_function_or_none_is_a_mismatch(there: Any) -> None:
    with pytest.raises(MismatchError, match=r"/call: .* is there, not len"):
        round_trip({"call": len}, {"call": there})


def test_what_refers_to_a_part_that_was_left_out_is_a_mismatch() -> None:
    one, number, (tag, name, parts, left_out) = capture(types.SimpleNamespace(a=[1], b=None))
    parts["b"] = ("again", 1)
    del parts["a"]

    with pytest.raises(MismatchError, match="/b"):
        restore(types.SimpleNamespace(a=[0], b=None), (one, number, (tag, name, parts, left_out)))


# ---- nothing is executed


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("executed",)


def test_what_is_told_names_no_class(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    class Noting(PlainUnpickler):
        def find_class(self, module: str, name: str) -> Any:
            asked.append((module, name))
            return super().find_class(module, name)

    world = World().moved()
    world.goal = {
        "phase": Phase.REST,
        "point": Point(1.0, np.ones(2)),
        "arrays": [np.float32(1), np.ones(3), np.array([None, World()], dtype=object)],
        "random": [np.random.default_rng(), np.random.RandomState(), random.Random()],
        "torch": [torch.ones(2), torch.nn.Linear(1, 1), torch.Generator()],
        "space": spaces.Discrete(3, seed=1),
        "evil": Evil(),
    }
    data = pickle.dumps(capture(world))
    Noting(io.BytesIO(data)).load()

    assert asked == []


def test_an_object_is_never_pickled(capsys: pytest.CaptureFixture[str]) -> None:
    round_trip({"evil": Evil()}, {"evil": Evil()})

    assert capsys.readouterr().out == ""


def test_a_tensor_that_is_code_is_not_executed(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.BytesIO()
    torch.save(Evil(), stream)

    with pytest.raises(pickle.UnpicklingError):
        restore(torch.zeros(1), ("tensor", stream.getvalue()))
    assert capsys.readouterr().out == ""


# ---- what is exchanged while nobody looks


def counting() -> Any:
    count = 0

    def call() -> int:
        nonlocal count
        count += 1
        return count

    return call


class Helper:
    def __init__(self) -> None:
        self.calls = 0

    def call(self) -> int:
        self.calls += 1
        return self.calls


def add(one: int, other: int) -> int:
    return one + other


def test_a_counter_in_a_closure_goes_on() -> None:
    owner, there = types.SimpleNamespace(call=counting()), types.SimpleNamespace(call=counting())
    for _ in range(3):
        owner.call()
    round_trip(owner, there)

    assert there.call() == 4


def test_the_owner_of_a_method_goes_on() -> None:
    owner = types.SimpleNamespace(call=Helper().call)
    there = types.SimpleNamespace(call=Helper().call)
    owner.call()
    round_trip(owner, there)

    assert there.call() == 2


def test_a_partial_call_and_a_path_are_those_that_were_told() -> None:
    owner = types.SimpleNamespace(level=Path("two.txt"), call=partial(add, 5, other=1))
    there = types.SimpleNamespace(level=Path("one.txt"), call=partial(add, 0, other=0))
    round_trip(owner, there)

    assert there.level == Path("two.txt")
    assert there.call() == 6


def test_an_attribute_that_is_gone_goes() -> None:
    there = types.SimpleNamespace(kept=1, gone=2)
    round_trip(types.SimpleNamespace(kept=3), there)

    assert vars(there) == {"kept": 3}
