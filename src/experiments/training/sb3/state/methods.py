"""Ways to tell an environment's state so that another one like it can take it over.

None of them is believed: `keeper.Keeper` tries each out on a clone before it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from .plain import Plain, capture, opaque_parts, restore
from .tape import Reset, Tape, set_generators

MOST_BYTES = 1 << 26
"""Of an environment's arrays; one that holds more is told in another way."""


class Method(Protocol):
    """One way to tell the state of an environment, all its wrappers included."""

    name: str
    needs_tape: bool
    """Whether everything that is done to the environment must be recorded for it."""

    def capture(self, environment: Any, tape: Tape) -> Plain:
        """The environment's state.

        Raises:
            Exception: where this way does not work; what kind depends on the environment.
        """

    def restore(self, environment: Any, state: Plain, on_step: Callable[[], None]) -> None:
        """Bring an environment that was built alike, and reset once, into the state.

        `on_step` is called with each step that is taken on the way.
        """


class Offered:
    """What the environment's own `get_state` and `set_state` say."""

    name = "its own get_state and set_state"
    needs_tape = False

    def capture(self, environment: Any, tape: Tape) -> Plain:
        """The wrappers' parts, the generators and what `get_state` returns."""
        del tape
        inner = environment.unwrapped
        wrappers = [capture(layer, ("env",)) for layer in _wrappers(environment)]
        spaces = capture((inner.action_space, inner.observation_space))
        return wrappers, spaces, capture(inner._np_random), capture(inner.get_state())

    def restore(self, environment: Any, state: Plain, on_step: Callable[[], None]) -> None:
        """Hand everything back."""
        del on_step
        wrappers, spaces, generator, told = state
        inner = environment.unwrapped
        for layer, part in zip(_wrappers(environment), wrappers, strict=True):
            restore(layer, part)
        restore((inner.action_space, inner.observation_space), spaces)
        inner._np_random = restore(inner._np_random, generator)
        inner.set_state(restore(None, told))


class Direct:
    """Every attribute of the environment and its wrappers, as plain data."""

    name = "its attributes"
    needs_tape = False

    def capture(self, environment: Any, tape: Tape) -> Plain:
        """All attributes; refused where one of them is neither plain data nor written in Python.

        Much data, such as a map or a set of recordings, would be written at each checkpoint anew.
        """
        del tape
        return capture(environment, most_bytes=MOST_BYTES)

    def restore(self, environment: Any, state: Plain, on_step: Callable[[], None]) -> None:
        """Fill the attributes in place."""
        del on_step
        restore(environment, state)


class EpisodeReplay:
    """The generators at the latest reset and the actions since, taken again."""

    name = "a replay of the episode"
    needs_tape = True

    def capture(self, environment: Any, tape: Tape) -> Plain:
        """The tape since the latest reset."""
        del environment
        episode = Tape.of(tape.state())
        episode.forget_earlier_episodes()
        return episode.state()

    def restore(self, environment: Any, state: Plain, on_step: Callable[[], None]) -> None:
        """Reset from the same generators, and act again."""
        for move in Tape.of(state).moves():
            if isinstance(move, Reset):
                set_generators(environment, move.generators)
            take(environment, move)
            on_step()


class WholeReplay:
    """Everything that was ever done to the environment, done again."""

    name = "a replay of everything since its start"
    needs_tape = True

    def capture(self, environment: Any, tape: Tape) -> Plain:
        """The whole tape."""
        del environment
        if not tape.is_whole:
            raise RuntimeError("the tape does not begin with the environment")
        return tape.state()

    def restore(self, environment: Any, state: Plain, on_step: Callable[[], None]) -> None:
        """Go on from the first reset, which every environment has behind it."""
        moves = Tape.of(state).moves()
        next(moves)
        for move in moves:
            take(environment, move)
            on_step()


METHODS: tuple[Method, ...] = (Offered(), Direct(), EpisodeReplay(), WholeReplay())
"""In the order in which they are tried: the cheapest that can be exact first."""


def worth_trying(environment: Any, probe: Any) -> list[Method]:
    """The methods that may work for an environment.

    Args:
        environment: the environment.
        probe: another one like it, which may be reset at will.
    """
    inner = environment.unwrapped
    if callable(getattr(inner, "get_state", None)) and callable(getattr(inner, "set_state", None)):
        return list(METHODS)
    without = [method for method in METHODS if not isinstance(method, Offered)]
    if _keeps_something_over_resets(probe):
        # what it keeps may remember earlier episodes, as the order of bodies in a world does
        return [method for method in without if not isinstance(method, EpisodeReplay)]
    return without


def _keeps_something_over_resets(probe: Any) -> bool:
    """Whether an object that cannot be looked into is the same before and after a reset."""
    probe.reset()
    before = opaque_parts(probe, MOST_BYTES)
    probe.reset()
    after = opaque_parts(probe, MOST_BYTES)
    return any(after.get(path) is part for path, part in before.items())


def take(environment: Any, move: Any) -> Any:
    """Reset an environment, or act in it; returns what it returns."""
    if isinstance(move, Reset):
        return environment.reset(**move.arguments)
    return environment.step(move)


def _wrappers(environment: Any) -> list[Any]:
    layers = []
    while environment is not environment.unwrapped:
        layers.append(environment)
        environment = environment.env
    return layers
