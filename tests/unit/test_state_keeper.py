"""How an environment's state is told: each way is tried out before it is believed."""

from __future__ import annotations

import itertools
import os
import random
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.wrappers import FrameStackObservation, TimeAwareObservation, TimeLimit
from stable_baselines3.common.monitor import Monitor

from src.experiments.training.sb3.state import keeper as keeper_module
from src.experiments.training.sb3.state.forked import in_a_copy
from src.experiments.training.sb3.state.keeper import PROBE_STEPS, Keeper
from src.experiments.training.sb3.state.methods import METHODS, MOST_BYTES
from tests.checkpoint_bytes import pack, unpack
from tests.waiting import HANG_SECONDS

OFFERED, DIRECT, EPISODE, WHOLE = (method.name for method in METHODS)
Make = Callable[[], Any]


class Walk(gym.Env[Any, Any]):
    """A random walk; every episode begins at the same place and ends by chance."""

    observation_space: spaces.Space[Any] = spaces.Box(-np.inf, np.inf, (2,))

    def __init__(self) -> None:
        self.action_space = spaces.Discrete(3)
        self.place = np.zeros(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.place = np.zeros(2)
        self.begin()
        return self.seen(), {}

    def step(self, action: Any) -> Any:
        self.place = self.place + (action - 1) + self.noise()
        ends = bool(self.np_random.random() < 0.05)
        return self.seen(), float(self.place.sum()), ends, False, {}

    def begin(self) -> None:
        """Make what an episode needs."""

    def noise(self) -> Any:
        return self.np_random.normal(size=2)

    def seen(self) -> Any:
        return self.place.astype(np.float32)


class Locked(Walk):
    """Keeps something that nobody can look into, and that says nothing."""

    def begin(self) -> None:
        self.lock = threading.Lock()


class Numbered(Walk):
    """Counts with an object that nobody can look into, from the start of each episode."""

    def begin(self) -> None:
        self.numbers: Iterator[int] = itertools.count()

    def noise(self) -> Any:
        return super().noise() + next(self.numbers)


class Aging(Walk):
    """Counts with an object that nobody can look into, over all episodes."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = (0.5 * number for number in itertools.count())

    def noise(self) -> Any:
        return super().noise() + next(self.numbers)


class Offering(Aging):
    """Tells its own state."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.numbers = self.count_on()

    def count_on(self) -> Iterator[float]:
        while True:
            self.count += 1
            yield 0.5 * self.count

    def get_state(self) -> Any:
        return {"count": self.count, "place": self.place}

    def set_state(self, state: Any) -> None:
        self.count, self.place = state["count"], state["place"]


class Forgetful(Walk):
    """Offers a state in which the half is missing."""

    def get_state(self) -> Any:
        return float(self.place[0])

    def set_state(self, state: Any) -> None:
        self.place[0] = state


class Noisy(Walk):
    """Depends on what no process can tell."""

    def noise(self) -> Any:
        return np.frombuffer(os.urandom(2), np.uint8) / 255


class Counted(Walk):
    """Depends on how many steps were taken in the whole process."""

    steps: ClassVar[Iterator[int]] = itertools.count()

    def noise(self) -> Any:
        return super().noise() + next(Counted.steps)


class Drawing(Walk):
    """Draws from the generators of the process, also where it is made."""

    def __init__(self) -> None:
        super().__init__()
        self.luck = random.random() * np.random.normal() * torch.randn(()).item()

    def noise(self) -> Any:
        return super().noise() + np.random.normal() + random.random()


ORIGIN = np.zeros(2)


class FromConstant(Walk):
    """Begins each episode with one array that all environments share."""

    def begin(self) -> None:
        self.place = ORIGIN


class FromStart(Walk):
    """Begins each episode with an array of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.start = self.place

    def begin(self) -> None:
        self.place = self.start


class Looking(Walk):
    """Its place is a view of a larger state."""

    def begin(self) -> None:
        self.state = np.zeros((2, 2))
        self.place = self.state[0]

    def step(self, action: Any) -> Any:
        self.state += self.noise()
        return self.seen(), float(self.place[1]), False, False, {}


class Nested(Walk):
    observation_space = spaces.Dict(
        {"both": spaces.Tuple([spaces.Box(-9, 9, (2,)), spaces.Discrete(2)])}
    )

    def seen(self) -> Any:
        return {"both": (super().seen(), int(self.place[0] > 0))}


class Undefined(Walk):
    def seen(self) -> Any:
        return np.array([np.nan, self.place[1]], np.float32)


class Counting(gym.Wrapper[Any, Any, Any, Any]):
    """Shows how many episodes there were."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.episodes = 0

    def reset(self, **arguments: Any) -> Any:
        self.episodes += 1
        observation, info = super().reset(**arguments)
        return observation + self.episodes, info

    def step(self, action: Any) -> Any:
        observation, *rest = super().step(action)
        return observation + self.episodes, *rest


def layers(inner: Make, *around: Callable[[Any], Any]) -> Make:
    def make() -> Any:
        environment = inner()
        for wrap in around:
            environment = wrap(environment)
        return environment

    return make


LIMITED = partial(TimeLimit, max_episode_steps=9)
STACKED = partial(FrameStackObservation, stack_size=3)

EXACT: dict[str, tuple[Make, str]] = {
    "Python alone": (Walk, DIRECT),
    "a constant to begin with": (FromConstant, DIRECT),
    "a start of its own": (FromStart, DIRECT),
    "a view": (Looking, DIRECT),
    "observations in containers": (Nested, DIRECT),
    "observations that are undefined": (Undefined, DIRECT),
    "generators of the process": (Drawing, DIRECT),
    "what is opaque is made at each reset": (Numbered, EPISODE),
    "what is opaque says nothing": (Locked, EPISODE),
    "what is opaque is never made again": (Aging, WHOLE),
    "what it offers": (Offering, OFFERED),
    "Python, limited": (layers(Walk, LIMITED), DIRECT),
    "Python, stacked": (layers(Walk, LIMITED, STACKED), DIRECT),
    "Python, with the time": (layers(Walk, LIMITED, TimeAwareObservation), DIRECT),
    "Python, counting": (layers(Walk, LIMITED, Counting), DIRECT),
    "opaque, stacked": (layers(Numbered, LIMITED, STACKED), EPISODE),
    "opaque, counting": (layers(Numbered, LIMITED, Counting), WHOLE),
    "opaque for ever, with the time": (layers(Aging, LIMITED, TimeAwareObservation), WHOLE),
    "offered, counting and stacked": (layers(Offering, LIMITED, Counting, STACKED), OFFERED),
}


VARIATIONS = {
    "a constant to begin with",
    "a start of its own",
    "a view",
    "observations that are undefined",
    "what is opaque says nothing",
    "Python, stacked",
    "Python, with the time",
    "Python, counting",
    "opaque, stacked",
    "opaque, counting",
}


def each_exact() -> list[Any]:
    """Every way with an environment or two; what varies these is for the long tests."""
    slow = pytest.mark.slow
    return [
        pytest.param(made, id=name, marks=[slow] if name in VARIATIONS else [])
        for name, made in EXACT.items()
    ]


@pytest.fixture(params=each_exact())
def exact(request: pytest.FixtureRequest) -> tuple[Make, str]:
    made: tuple[Make, str] = request.param
    return made


def kept(make: Make, seed: int = 3) -> Keeper:
    """An environment as the library sets it up."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    keeper = Keeper(Monitor(make()), make)
    keeper.action_space.seed(seed)
    keeper.reset(seed=seed)
    return keeper


def played(keeper: Keeper, steps: int) -> list[str]:
    """What comes of steps, as text that shows every bit."""
    outcomes = []
    for number in range(steps):
        *outcome, info = keeper.step(number % 3)
        outcomes.append(repr((outcome, info.get("episode", {}).get("l"))))
        if outcome[2] or outcome[3]:
            outcomes.append(repr(keeper.reset()[0]))
    return outcomes


def tried(keeper: Keeper, steps: int = PROBE_STEPS + 10) -> tuple[list[str], str]:
    keeper.begin_trial()
    played(keeper, steps)
    names, why_not = keeper.end_trial()
    keeper.use(names)
    return names, why_not


def through_a_file(state: Any) -> Any:
    return unpack(pack({"state": state}), Path("checkpoint_1.pkl"))["state"]


def test_the_cheapest_way_that_is_exact_is_found(exact: tuple[Make, str]) -> None:
    make, method = exact

    assert tried(kept(make))[0][0] == method


def test_another_environment_goes_on_where_this_one_was(exact: tuple[Make, str]) -> None:
    make, method = exact
    keeper = kept(make)
    tried(keeper)
    played(keeper, 43)
    state = through_a_file((keeper.capture_state(), keeper_module.capture_process_generators()))
    expected = played(keeper, 120)
    other = kept(make)
    told, generators = state
    other.restore_state(told)
    keeper_module.restore_process_generators(generators)

    assert played(other, 120) == expected
    assert (other.replayed > 0) == (method in (EPISODE, WHOLE))


def test_one_that_went_on_can_be_told_again(exact: tuple[Make, str]) -> None:
    make, _ = exact
    undisturbed = kept(make)
    tried(undisturbed)
    expected = [played(undisturbed, 30) for _ in range(3)]
    keeper = kept(make)
    tried(keeper)
    seen = []
    for _ in range(3):
        generators = keeper_module.capture_process_generators()
        told = through_a_file(keeper.capture_state())
        keeper = kept(make)
        keeper.restore_state(told)
        keeper_module.restore_process_generators(generators)
        seen.append(played(keeper, 30))

    assert seen == expected


def test_a_trial_changes_nothing_that_training_sees(exact: tuple[Make, str]) -> None:
    make, _ = exact
    undisturbed = kept(make)
    expected = [played(undisturbed, 100) for _ in range(3)]
    keeper = kept(make)
    keeper.begin_trial()
    seen = [played(keeper, 100)]
    keeper.use(keeper.end_trial()[0])
    keeper.begin_trial()
    keeper.capture_state()
    seen.append(played(keeper, 100))
    keeper.end_trial()
    seen.append(played(keeper, 100))

    assert seen == expected


@pytest.mark.parametrize("make", [Walk, Drawing, Numbered, Noisy])
def test_the_generators_of_the_process_are_left_as_they_were(make: Make) -> None:
    keeper = kept(make)

    def untouched(act: Callable[[], Any]) -> bool:
        before = keeper_module.capture_process_generators()
        act()
        return bool(before == keeper_module.capture_process_generators())

    assert untouched(keeper.begin_trial)
    played(keeper, 70)
    assert untouched(keeper.end_trial)


# ---- what cannot be told


def test_what_no_process_can_tell_is_found_out() -> None:
    names, why_not = tried(kept(Noisy))

    assert names == []
    assert "a copy of the environment gave another observation in step 1" in why_not


def test_a_count_of_the_whole_process_is_found_out() -> None:
    assert tried(kept(Counted))[0] == []


def test_without_a_way_only_the_monitor_s_part_is_told() -> None:
    keeper = kept(Noisy)
    tried(keeper)
    *_, name, why_not = keeper.capture_state()

    assert name is None
    assert "gave another observation" in why_not


def test_an_environment_that_cannot_be_made_twice_says_so() -> None:
    made: list[Any] = []

    def make() -> Any:
        if made:
            raise RuntimeError("the port is taken")
        made.append(Walk())
        return made[0]

    names, why_not = tried(kept(make))

    assert names == []
    assert why_not == "another environment like it cannot be made: RuntimeError: the port is taken"


def test_without_a_step_nothing_is_believed() -> None:
    keeper = kept(Walk)
    keeper.begin_trial()
    names, why_not = keeper.end_trial()

    assert names == []
    assert "no step was taken that could be compared" in why_not


def test_a_few_steps_are_enough_where_no_more_were_taken() -> None:
    assert tried(kept(Walk), steps=2)[0] == [DIRECT]


def test_a_way_that_is_refuted_later_gives_way_to_the_next() -> None:
    keeper = kept(Forgetful)

    assert tried(keeper)[0] == [OFFERED, DIRECT]  # it begins where all that is missing is zero
    assert tried(keeper)[0] == [DIRECT]


def test_an_environment_that_changes_its_mind_is_found_out_later() -> None:
    class Late(Walk):
        """Begins to depend on chance when it is old."""

        age = 0

        def noise(self) -> Any:
            self.age += 1
            return super().noise() + (os.urandom(1)[0] if self.age > 100 else 0)

    keeper = kept(Late)

    assert tried(keeper)[0] == [DIRECT]
    played(keeper, 100)
    assert tried(keeper)[0] == []


def test_a_state_that_does_not_fit_is_an_error() -> None:
    keeper = kept(Walk)
    tried(keeper)
    told = through_a_file(keeper.capture_state())

    with pytest.raises(Exception, match="Walk is expected"):
        kept(Numbered).restore_state(told)


# ---- what it costs


def is_the_monitor_s_own(keeper: Keeper) -> bool:
    return keeper.step == keeper.monitor.step


def test_a_step_is_the_monitor_s_own_unless_something_is_recorded() -> None:
    keeper = kept(Walk)
    keeper.use([])
    at_first = is_the_monitor_s_own(keeper)
    keeper.begin_trial()
    on_trial = is_the_monitor_s_own(keeper)
    played(keeper, PROBE_STEPS + 1)
    after_enough = is_the_monitor_s_own(keeper)
    keeper.end_trial()

    assert (at_first, on_trial, after_enough) == (True, False, True)
    assert is_the_monitor_s_own(keeper)


@pytest.mark.parametrize(("make", "is_free"), [(Walk, True), (Numbered, False), (Aging, False)])
def test_only_a_replay_needs_a_record(make: Make, is_free: bool) -> None:
    keeper = kept(make)
    tried(keeper)

    assert is_the_monitor_s_own(keeper) == is_free


def test_a_record_of_the_episode_does_not_grow_with_training() -> None:
    keeper = kept(layers(Numbered, LIMITED))
    tried(keeper)
    sizes = []
    for steps in (90, 900):
        played(keeper, steps)
        keeper.take_returns()
        sizes.append(len(pack({"state": keeper.capture_state()})))

    assert sizes[1] < 1.1 * sizes[0]


def test_returns_are_told_once() -> None:
    keeper = kept(layers(Walk, LIMITED))
    played(keeper, 40)
    told = keeper.take_returns()

    assert len(told) >= 4
    assert keeper.take_returns() == []
    assert keeper.monitor.episode_lengths == []


def test_in_a_process_of_its_own_an_environment_tells_its_generators_too() -> None:
    keeper = Keeper(Monitor(Drawing()), Drawing, trainer=os.getppid())
    keeper.action_space.seed(1)
    keeper.reset(seed=1)
    tried(keeper)
    told = through_a_file(keeper.capture_state())
    expected = played(keeper, 30)
    other = Keeper(Monitor(Drawing()), Drawing, trainer=os.getppid())
    other.action_space.seed(1)
    other.reset(seed=1)
    other.restore_state(told)

    assert played(other, 30) == expected


# ---- copies of the process


def test_a_count_of_the_whole_process_is_not_moved_by_trials() -> None:
    keeper = kept(Counted)
    before = next(Counted.steps)
    keeper.begin_trial()
    played(keeper, PROBE_STEPS)
    keeper.end_trial()

    assert next(Counted.steps) - before == PROBE_STEPS + 1


def test_a_copy_that_crashes_or_hangs_costs_nothing_but_its_answer() -> None:
    with pytest.raises(RuntimeError, match="died"):
        in_a_copy(lambda: os._exit(3), HANG_SECONDS)
    with pytest.raises(TimeoutError, match="no answer"):
        in_a_copy(lambda: threading.Event().wait(), 0.1)
    with pytest.raises(RuntimeError, match="KeyError: 'missing'"):
        in_a_copy(lambda: {}["missing"], HANG_SECONDS)

    assert in_a_copy(lambda: 42, HANG_SECONDS) == 42


class Mapped(Walk):
    """Has more data than is written at each checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.map = np.zeros(MOST_BYTES // 8 + 1)


def test_an_environment_with_much_data_is_told_by_what_was_done_to_it() -> None:
    keeper = kept(Mapped)

    names, _ = tried(keeper)

    assert names == [WHOLE]
    assert len(pack({"state": keeper.capture_state()})) < 50_000
