"""Checkpoints, and stored experience, that are not what they were."""

import pickle
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from src.experiments.domain.errors import StorageError
from src.experiments.durability.checkpoints import FORMAT_VERSION
from tests.checkpoint_bytes import unpack

from ..figures import HALF_STEPS, Bench, Trial, algorithm_of, generator
from ..pair import Pair
from .sharing import contents

VARIANT = "variant_seed0"
ALL_BAD_EVERY = 4
"""Of the trials: in these no checkpoint is spared."""

Damage = Callable[[Path, random.Random, Pair], None]


def _truncate(path: Path, rng: random.Random, _: Pair) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(1, len(data))])


def _flip_a_bit(path: Path, rng: random.Random, _: Pair) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def _empty(path: Path, rng: random.Random, _: Pair) -> None:
    path.write_bytes(b"")


def _swap_with_another_run(path: Path, rng: random.Random, pair: Pair) -> None:
    path.write_bytes(rng.choice(list(pair.checkpoints("baseline_seed0").values())).read_bytes())


def _take_from_the_future(path: Path, rng: random.Random, _: Pair) -> None:
    envelope = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps({**envelope, "format_version": FORMAT_VERSION + 1}, 4))


DAMAGES: dict[str, Damage] = {
    "truncated": _truncate,
    "bit-flipped": _flip_a_bit,
    "emptied": _empty,
    "another run's": _swap_with_another_run,
    "from the future": _take_from_the_future,
}


def damaged_checkpoints(bench: Bench, count: int) -> Iterator[Trial]:
    """Each kind of damage in turn, to the newest checkpoint or to all of them."""
    for number in range(count):
        yield Trial(partial(_is_found_out, bench, number))


def _is_found_out(bench: Bench, number: int, folder: Path) -> None:
    rng, kinds = generator("damage", number), list(DAMAGES)
    kind = kinds[number % len(kinds)]
    algorithm = algorithm_of(number // len(kinds))
    pair = bench.half_trained(algorithm, folder)
    checkpoints = list(pair.checkpoints(VARIANT).items())
    is_last_left = number % ALL_BAD_EVERY == ALL_BAD_EVERY - 1
    for _, path in checkpoints if is_last_left else checkpoints[-1:]:
        _damage(kind, path, rng, pair)
    if is_last_left:
        check_is_refused(bench, pair)
    else:
        check_falls_back(bench, pair, algorithm, checkpoints)


def _damage(kind: str, path: Path, rng: random.Random, pair: Pair) -> None:
    """Damage a file; a flipped bit that changes nothing of what it says is flipped elsewhere."""
    original = path.read_bytes()
    while True:
        DAMAGES[kind](path, rng, pair)
        try:
            if unpack(path.read_bytes(), path) != unpack(original, path):
                return
        except StorageError:
            return
        path.write_bytes(original)


def check_falls_back(
    bench: Bench, pair: Pair, algorithm: str, checkpoints: list[tuple[int, Path]]
) -> None:
    """The checkpoint before the newest is used, with a warning that names both."""
    (step, previous), (_, newest) = checkpoints[-2:]
    done = bench.warm.finish(pair)
    assert list(pair.start_steps(VARIANT).values())[-1] == step
    log = (pair.root / "logs" / "variant_training.log").read_text() + done.stderr
    warnings = [line for line in log.splitlines() if str(newest.name) in line]
    assert any("is not used" in line and previous.name in line for line in warnings), log
    bench.small_undisturbed(algorithm, HALF_STEPS).check_same(pair, done)


def check_is_refused(bench: Bench, pair: Pair) -> None:
    """Nothing is trained and no checkpoint is touched."""
    before = contents(pair.root / "checkpoints" / VARIANT)
    done = bench.warm.finish(pair)
    assert done.code == 1, done
    assert str(pair.root / "checkpoints" / VARIANT) in done.stderr
    assert contents(pair.root / "checkpoints" / VARIANT) == before


# ---- experience


def damaged_experience(bench: Bench, count: int) -> Iterator[Trial]:
    """A replay buffer's file: its end, which only the newest checkpoint needs, or its start."""
    for number in range(count):
        yield Trial(partial(_experience_is_found_out, bench, number))


def _experience_is_found_out(bench: Bench, number: int, folder: Path) -> None:
    pair = bench.half_trained("DQN", folder)
    checkpoints = list(pair.checkpoints(VARIANT).items())
    is_start = number % 2 == 1
    last = _chunks_of(checkpoints[-1][1])[-1]
    file = checkpoints[-1][1].with_name(last["file"])
    position = generator("experience", number).randrange(last["bytes"])
    data = bytearray(file.read_bytes())
    data[position if is_start else last["offset"] + position] ^= 1
    file.write_bytes(data if number % 4 < 2 else data[: 0 if is_start else last["offset"]])
    if is_start:
        check_is_refused(bench, pair)
    else:
        check_falls_back(bench, pair, "DQN", checkpoints)


def _chunks_of(checkpoint: Path) -> list[dict]:
    state = unpack(checkpoint.read_bytes(), checkpoint)
    return [each["chunk"] for each in state["training"]["experience"]["chunks"]]
