"""Two orchestrators on one experiment, and an experiment file that has been edited meanwhile."""

import json
import time
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path

from tests.waiting import wait_until

from ..command import Command
from ..figures import ENDLESS_STEPS, HALF_STEPS, Bench, Trial, generator
from ..pair import Pair, document

LOCKED, USAGE = 3, 2
MOST_SECONDS_UNTIL_REFUSED = 2.0


def two_at_once(bench: Bench, count: int) -> Iterator[Trial]:
    """Two commands begin at the same time: half of them to go on, half of them to start."""
    for number in range(count):
        yield Trial(partial(_one_is_refused, bench, number))


def _one_is_refused(bench: Bench, number: int, folder: Path) -> None:
    is_new = number % 2 == 1
    # neither is complete before the other one was refused
    if is_new:
        pair = Pair(folder, document(baseline={"training_steps": ENDLESS_STEPS}))
    else:
        pair = bench.half_trained("PPO", folder, ENDLESS_STEPS, "baseline_seed0")
    words = pair.start_words("--resume") if is_new else pair.words()
    begun = pair.times_begun()
    attempts = len(list(pair.root.glob("runs/*/attempt-*"))) + 2
    commands = [pair.start(words=words)]
    time.sleep(generator("two at once", number).uniform(0.0, 0.3))
    commands.append(pair.start(words=words))
    try:
        wait_until(lambda: pair.times_begun() > begun, "one begins")
        begun_at = time.monotonic()
        refused = _first_to_end(commands)
        ended_at = time.monotonic()
        [proceeding] = [command for command in commands if command is not refused]
        assert not proceeding.ends_within(0.0), f"nobody proceeds: {proceeding.done()}"
        assert len(list(pair.root.glob("runs/*/attempt-*"))) <= attempts, "both have begun runs"
    finally:
        for command in commands:
            command.kill_everything()
    _check_was_locked(refused, proceeding)
    # to come so far took it as long as the other one, from when it was started
    asked_at = max(begun_at, refused.began + begun_at - proceeding.began)
    bench.saw("s until one is refused", ended_at - asked_at, MOST_SECONDS_UNTIL_REFUSED)


def _first_to_end(commands: list[Command]) -> Command:
    while True:
        for command in commands:
            if command.ends_within(0.01):
                return command


def _check_was_locked(refused: Command, proceeding: Command) -> None:
    done = refused.done()
    assert done.code == LOCKED, done
    assert "locked" in done.stderr
    assert str(proceeding.pid) in done.stderr


# ---- edited

EDITS = (
    (("variant_config", "hyperparameters", "learning_rate"), 0.5),
    (("baseline_config", "training_steps"), 2 * HALF_STEPS),
    (("baseline_config", "seed"), 7),
    (("baseline_config", "environment"), "Acrobot-v1"),
    (("evaluation", "episodes"), 3),
)
"""Keys, and what the file says there now."""


def edited_files(bench: Bench, count: int) -> Iterator[Trial]:
    """The file has another design when it is to go on; conditions may change."""
    for keys, value in EDITS[:count]:
        yield Trial(partial(_edit_is_refused, bench, keys, value))


def _edit_is_refused(bench: Bench, keys: tuple[str, ...], value: object, folder: Path) -> None:
    pair = bench.half_trained("PPO", folder)
    before = contents(pair.root)
    _edit(pair, {keys: value})
    done = bench.warm.finish(pair, words=pair.start_words("--resume"))
    assert done.code == USAGE, done
    assert f"/{keys[-1]} from " in done.stderr
    assert str(value) in done.stderr
    assert contents(pair.root) == before
    if keys == EDITS[0][0]:
        _edit(pair, {("hang_seconds",): 300, ("recovery",): {"strategy": "retry"}})
        done = bench.warm.finish(pair, words=pair.start_words("--resume"))
        bench.small_undisturbed("PPO", HALF_STEPS).check_same(pair, done)


def _edit(pair: Pair, edits: dict[tuple[str, ...], object]) -> None:
    """Write the original experiment file with some values changed."""
    content = deepcopy(pair.content)
    for keys, value in edits.items():
        place = content
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
    pair.config.write_text(json.dumps(content))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
