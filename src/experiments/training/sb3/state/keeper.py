"""The outermost layer of a training environment: tells its state, and takes a state over.

It adds nothing to a step unless it records. It lives where the environment does, which may be a
process of its own, and is spoken to by `VecEnv.env_method`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from stable_baselines3.common.monitor import Monitor

from ...determinism import generators_restored
from .forked import Answer, in_a_copy
from .generators import capture_process_generators, restore_process_generators
from .methods import METHODS, Method, take, worth_trying
from .plain import Plain, capture, restore
from .tape import Reset, Tape, set_generators

PROBE_STEPS = 64
"""Steps after which a clone that agrees with the environment in every bit is believed."""
PROBE_SECONDS = 0.25
"""How long a clone of a slow environment is followed, but for the first few steps."""
FEWEST_STEPS = 3
COPY_SECONDS = 60.0
"""How long a clone may take to come to where the environment was, and to follow it."""
CLOSE_SECONDS = 2.0
"""How long a clone is waited for that closes."""

Outcome = tuple[Any, float, bool, bool]
"""Observation, reward, terminated, truncated."""

_MONITORS_OWN = ("env", "t_start")
"""Attributes of the library's monitor that are told apart, or are a clock."""


@dataclass
class _Trial:
    """What each method told at one moment, and what happened from there on."""

    states: dict[str, Plain]
    refused: dict[str, str]
    moves: list[Any] = field(default_factory=list)
    outcomes: list[Outcome | None] = field(default_factory=list)
    """Of each move; None for a reset."""
    generators: list[Plain] = field(default_factory=list)
    """Those of the process before each move: an environment may draw from them."""

    @property
    def is_over(self) -> bool:
        return len(self.moves) >= PROBE_STEPS

    def add(self, move: Any, outcome: Outcome | None) -> None:
        self.moves.append(move)
        self.outcomes.append(outcome)


class Keeper(gym.Wrapper[Any, Any, Any, Any]):
    """Around the library's monitor, inside the vector of environments.

    Args:
        monitor: the environment in the library's `Monitor`.
        rebuild: makes another environment like the one in the monitor.
        trainer: the process that trains, and tells its own generators.
    """

    def __init__(
        self, monitor: Monitor[Any, Any], rebuild: Callable[[], Any], trainer: int | None = None
    ) -> None:
        super().__init__(monitor)
        self.monitor = monitor
        self._inside = monitor.env
        self._rebuild = rebuild
        self._has_own_process = trainer is not None and trainer != os.getpid()
        self._methods: list[Method] = []
        """Those that were not refuted; the first is used."""
        self._why_not = ""
        self._has_agreed = False
        self._first_reset: Reset | None = None
        self._tape: Tape | None = None
        self._trial: _Trial | None = None
        self.replayed = 0
        """Steps that were taken again so far, and moments in which a copy was waited for."""
        self._update_step()

    # ---- as an environment

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        """Reset, and note it where that is wanted."""
        if self._first_reset is None:
            tape = Tape()
            tape.note_reset(self._inside, arguments)
            (self._first_reset,) = tape.resets
            self._tape = tape
            self._update_step()
        elif self._tape is not None:
            self._tape.note_reset(self._inside, arguments)
        trial = self._trial
        is_tried = trial is not None and not trial.is_over
        if trial is not None and is_tried:
            trial.generators.append(capture_process_generators())
        observation, info = self.env.reset(**arguments)
        if trial is not None and is_tried:
            trial.add(Reset(0, dict(arguments), {}), None)
            self._update_step()
        return observation, info

    def _step_recorded(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        if self._tape is not None:
            self._tape.note_action(action)
        trial = self._trial
        if trial is not None and not trial.is_over:
            trial.generators.append(capture_process_generators())
        result = self.env.step(action)
        if trial is not None and not trial.is_over:
            observation, reward, terminated, truncated, _ = result
            trial.add(
                np.array(action)[()], (_copied(observation), float(reward), terminated, truncated)
            )
            self._update_step()
        return result

    def _update_step(self) -> None:
        """Record steps where anybody needs that; else let the vector call the monitor itself."""
        is_recording = self._tape is not None or (
            self._trial is not None and not self._trial.is_over
        )
        self.step = self._step_recorded if is_recording else self.monitor.step  # type: ignore[method-assign]

    # ---- finding out what works

    def begin_trial(self) -> bool:
        """Tell the state by every method that may work, and record what happens from here on.

        False where there is nothing to find out any more: a replay of everything that has agreed
        once leaves nothing out later, and takes longer each time.
        """
        if self._has_agreed and [method.name for method in self._methods] == [METHODS[-1].name]:
            return False
        with generators_restored():
            if not self._methods and not self._why_not:
                self._find_promising()
            states: dict[str, Plain] = {}
            refused: dict[str, str] = {}
            for method in self._methods:
                try:
                    states[method.name] = method.capture(self._inside, self._recorded)
                except Exception as error:  # noqa: BLE001 - anything may go wrong in what users wrote
                    refused[method.name] = str(error) or type(error).__name__
        self._trial = _Trial(states, refused)
        self._update_step()
        return True

    def end_trial(self) -> tuple[list[str], str]:
        """Follow the record on clones; the names of the methods that are left, and why not others.

        The first one agreed. Those behind it cost more, and wait in case that it is refuted later;
        none of them needs a tape that it does not need itself.
        """
        trial, self._trial = self._trial, None
        if trial is not None and self._methods:
            reasons = dict(trial.refused)
            left = [method for method in self._methods if method.name in trial.states]
            while left:
                reason = self._refutation(left[0], trial)
                if reason is None:
                    self._has_agreed = True
                    break
                reasons[left.pop(0).name] = reason
            self._methods = [each for each in left if left[0].needs_tape or not each.needs_tape]
            self._why_not = _together(reasons)
        self._update_step()
        return [method.name for method in self._methods], self._why_not

    def use(self, names: list[str]) -> None:
        """Use the first of these methods from now on; without any, the state cannot be told."""
        self._methods = [method for method in METHODS if method.name in names]
        needs_tape = bool(self._methods) and self._methods[0].needs_tape
        if not needs_tape:
            self._tape = None
        elif self._methods[0].name == "a replay of the episode" and self._tape is not None:
            self._tape.forget_earlier_episodes()
        self._update_step()

    def _find_promising(self) -> None:
        try:
            names = self._in_a_copy(self._names_worth_trying)
        except Exception as error:  # noqa: BLE001 - anything may go wrong in what users wrote
            self._why_not = f"another environment like it cannot be made: {error}"
        else:
            self._methods = [method for method in METHODS if method.name in names]

    def _names_worth_trying(self) -> list[str]:
        with _closed_soon(self._clone()) as clone:
            return [method.name for method in worth_trying(self._inside, clone)]

    def _refutation(self, method: Method, trial: _Trial) -> str | None:
        """Why a method is not exact; None where its clone did as the environment did."""
        if not any(outcome is not None for outcome in trial.outcomes):
            return "no step was taken that could be compared"
        try:
            return self._in_a_copy(partial(self._difference, method, trial))
        except Exception as error:  # noqa: BLE001 - anything may go wrong in what users wrote
            return str(error) or type(error).__name__

    def _difference(self, method: Method, trial: _Trial) -> str | None:
        with _closed_soon(self._clone()) as clone:
            method.restore(clone, trial.states[method.name], lambda: None)
            return _first_difference(clone, trial)

    def _in_a_copy(self, question: Callable[[], Answer]) -> Answer:
        """Ask in a copy of this process: a clone may share something with the environment.

        It may also crash or hang, which costs nothing but the answer. The library's own share
        nothing, and a copy of the process costs more than they do.
        """
        if _is_of_the_library(self._inside):
            with generators_restored():
                return question()
        return in_a_copy(question, COPY_SECONDS, self._count_replayed)

    def _clone(self) -> Any:
        """Another environment like this one, with its first reset behind it."""
        clone = self._rebuild()
        if self._first_reset is not None:
            clone.action_space.seed(0)  # as the library does, so that there is a generator to set
            set_generators(clone, self._first_reset.generators)
            clone.reset(**self._first_reset.arguments)
        return clone

    @property
    def _recorded(self) -> Tape:
        if self._tape is None:
            return Tape(is_whole=False)
        return self._tape

    # ---- state

    def take_returns(self) -> list[float]:
        """Returns of the episodes that ended since the last call; the monitor forgets them."""
        monitor = self.monitor
        returns = list(monitor.episode_returns)
        for kept in (monitor.episode_returns, monitor.episode_lengths, monitor.episode_times):
            kept.clear()
        return returns

    def capture_state(self) -> Plain:
        """Everything, as plain data.

        Where no method works, instead of its name there is None, and why behind it: an environment
        may have taken something on since its trial that cannot be told.
        """
        monitor = capture(self.monitor, _MONITORS_OWN)
        process = capture_process_generators() if self._has_own_process else None
        if not self._methods:
            return monitor, process, None, self._why_not
        method = self._methods[0]
        try:
            told = method.capture(self._inside, self._recorded)
        except Exception as error:  # noqa: BLE001 - anything may go wrong in what users wrote
            return monitor, process, None, str(error) or type(error).__name__
        return monitor, process, method.name, told

    def restore_state(self, state: Plain) -> None:
        """Take over what `capture_state` told, of an environment built alike and reset once.

        Raises:
            Exception: where it cannot be taken over.
        """
        monitor, process, name, told = state
        self.use([name] if name is not None else [])
        if self._methods:
            method = self._methods[0]
            with generators_restored():
                method.restore(self._inside, told, self._count_replayed)
            if method.needs_tape:
                self._tape = Tape.of(told)
        restore(self.monitor, monitor)
        if process is not None:
            restore_process_generators(process)
        self._update_step()

    def _count_replayed(self) -> None:
        self.replayed += 1


@contextmanager
def _closed_soon(clone: Any) -> Iterator[Any]:
    """Close a clone behind the block; one that hangs there ends with its copy of the process."""
    try:
        yield clone
    finally:
        closing = threading.Thread(target=clone.close, daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)


def _is_of_the_library(environment: Any) -> bool:
    """Whether Gymnasium wrote an environment and all its wrappers."""
    layers = [environment]
    while layers[-1] is not environment.unwrapped:
        layers.append(layers[-1].env)
    return all(type(layer).__module__.startswith("gymnasium.") for layer in layers)


def _first_difference(clone: Any, trial: _Trial) -> str | None:
    """Where a clone did something else than was recorded; None where it did the same."""
    deadline = time.perf_counter() + PROBE_SECONDS
    steps = 0
    moves = zip(trial.moves, trial.outcomes, trial.generators, strict=True)
    for move, outcome, process in moves:
        restore_process_generators(process)
        result = take(clone, move)
        if outcome is None:
            continue
        steps += 1
        names = ("observation", "reward", "terminated", "truncated")
        for name, ours, theirs in zip(names, outcome, result[:4], strict=True):
            if not _is_equal(ours, theirs):
                return f"a copy of the environment gave another {name} in step {steps}"
        if steps >= FEWEST_STEPS and time.perf_counter() > deadline:
            break
    return None


def _together(reasons: Mapping[str, str]) -> str:
    """Why each method is not exact; those with the same reason at once."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    told = (f"{reason} (by {', '.join(names)})" for reason, names in by_reason.items())
    return "; ".join(told)


def _copied(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {name: _copied(part) for name, part in observation.items()}
    if isinstance(observation, tuple):
        return tuple(_copied(part) for part in observation)
    return np.array(observation)


def _is_equal(ours: Any, theirs: Any) -> bool:
    """Whether two observations or numbers are equal in every bit, NaN included."""
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(_is_equal(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, tuple):
        return len(ours) == len(theirs) and all(map(_is_equal, ours, theirs))
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return bool(
        ours.shape == theirs.shape and ours.tobytes() == theirs.astype(ours.dtype).tobytes()
    )
