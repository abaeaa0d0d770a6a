"""What was done to an environment, recorded so that it can be done again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from src.experiments.training.sb3.state import tape as module
from src.experiments.training.sb3.state.tape import Reset, Tape, set_generators
from tests.checkpoint_bytes import pack, unpack


@pytest.fixture
def environment() -> gym.Env[Any, Any]:
    made = gym.make("CartPole-v1")
    made.reset(seed=1)
    return made


def told(tape: Tape) -> list[Any]:
    """The arguments of resets and the numbers of actions, in their order."""
    return [
        move.arguments if isinstance(move, Reset) else np.asarray(move).tolist()
        for move in tape.moves()
    ]


def record(tape: Tape, environment: Any, *moves: Any) -> Tape:
    for move in moves:
        if isinstance(move, dict):
            tape.note_reset(environment, move)
        else:
            tape.note_action(move)
    return tape


def through_a_file(tape: Tape) -> Tape:
    return Tape.of(unpack(pack({"tape": tape.state()}), Path("c.pkl"))["tape"])


MOVES = ({"seed": 1}, 0, 1, {}, {}, 2, {"options": {"low": 0.5}})


def test_moves_come_back_in_their_order(environment: Any) -> None:
    tape = record(Tape(), environment, *MOVES)

    assert told(tape) == list(MOVES)
    assert len(tape) == 3


def test_a_tape_comes_back_from_a_file(environment: Any) -> None:
    tape = record(Tape(), environment, *MOVES)
    copy = through_a_file(tape)

    assert told(copy) == list(MOVES)
    assert copy.resets == tape.resets
    assert copy.is_whole


def test_a_tape_from_a_file_goes_on(environment: Any) -> None:
    tape = record(through_a_file(record(Tape(), environment, *MOVES)), environment, 3, {}, 4)

    assert told(tape) == [*MOVES, 3, {}, 4]
    assert told(through_a_file(tape)) == told(tape)


def test_an_empty_tape_comes_back(environment: Any) -> None:
    assert told(through_a_file(Tape())) == []
    assert told(through_a_file(record(Tape(), environment, {}))) == [{}]


def test_earlier_episodes_are_forgotten_now_and_from_now_on(environment: Any) -> None:
    tape = record(Tape(), environment, {"seed": 1}, 0, {}, {}, 1, 2)
    tape.forget_earlier_episodes()
    first = told(tape)
    record(tape, environment, 3)
    second = told(tape)
    record(tape, environment, {}, {"seed": 5}, 4)

    assert (first, second, told(tape)) == ([{}, 1, 2], [{}, 1, 2, 3], [{"seed": 5}, 4])
    assert not through_a_file(tape).is_whole


def test_forgetting_twice_forgets_no_more(environment: Any) -> None:
    tape = record(Tape(), environment, {}, 1, {}, 2)
    tape.forget_earlier_episodes()
    tape.forget_earlier_episodes()

    assert told(tape) == [{}, 2]


def test_a_tape_that_forgets_notes_nothing_of_before_its_first_reset(environment: Any) -> None:
    tape = record(Tape(is_whole=False), environment, 1, 2, {}, 3)

    assert told(tape) == [{}, 3]


def test_long_tapes_are_kept_in_blocks(environment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)
    tape = record(Tape(), environment, {}, *range(6), {}, *range(6, 11))
    copy = record(through_a_file(tape), environment, *range(11, 16))
    forgetful = through_a_file(copy)
    forgetful.forget_earlier_episodes()

    assert told(copy) == [{}, *range(6), {}, *range(6, 16)]
    assert told(forgetful) == [{}, *range(6, 16)]


@pytest.mark.parametrize(
    "action", [3, np.int64(3), np.array([0.1, -0.2], dtype=np.float32), np.array([[1, 0]])]
)
def test_actions_keep_their_type_and_bits(environment: Any, action: Any) -> None:
    tape = through_a_file(record(Tape(), environment, {}, action, action))
    _, *actions = tape.moves()

    for each in actions:
        assert (each.dtype, each.tobytes()) == (np.array(action).dtype, np.array(action).tobytes())


def test_an_action_that_is_changed_later_is_kept_as_it_was(environment: Any) -> None:
    action = np.zeros(2)
    tape = record(Tape(), environment, {}, action)
    action[:] = 9

    assert told(tape) == [{}, [0, 0]]


def test_a_reset_can_be_repeated_from_the_same_generators(environment: Any) -> None:
    tape = record(Tape(), environment, {})
    first, _ = environment.reset()
    second, _ = environment.reset()
    (again,) = through_a_file(tape).moves()
    assert isinstance(again, Reset)
    set_generators(environment, again.generators)
    repeated, _ = environment.reset()

    assert repeated.tolist() == first.tolist() != second.tolist()


def test_a_generator_that_is_gone_is_an_error(environment: Any) -> None:
    (reset,) = record(Tape(), environment, {}).resets

    with pytest.raises(KeyError):
        set_generators(object(), reset.generators)
