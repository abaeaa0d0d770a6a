"""Instants of kills lie behind checkpoints, and are the same for the same seed."""

import numpy as np

from src.experiments.domain.records import RunKey
from src.experiments.verification.kills import CheckpointWatch, drawn, newest_step, steps_in

RUNS = (RunKey("baseline", 1), RunKey("variant", 1))
SEEN = {run: {step: step / 100 for step in (100, 200, 300, 400)} for run in RUNS}


def test_each_kill_of_a_run_has_an_interval_of_its_own_and_the_last_has_none():
    for seed in range(50):
        kills = drawn(SEEN, 3, np.random.default_rng(seed))

        assert [kill.run for kill in kills] == [RUNS[0]] * 3 + [RUNS[1]] * 3
        assert [kill.step for kill in kills] == [100, 200, 300] * 2
        assert all(0 <= kill.delay_seconds < 1.0 for kill in kills)
        assert all(kill.latest_step == kill.step + 100 for kill in kills)


def test_the_same_seed_draws_the_same_instants():
    once, again, other = (drawn(SEEN, 2, np.random.default_rng(seed)) for seed in (1, 1, 2))

    assert once == again
    assert once != other


def test_checkpoints_are_seen_when_they_appear_and_remembered_when_they_go(tmp_path):
    watch = CheckpointWatch(tmp_path / "absent_yet")
    watch.poll()
    assert watch.seen == {}

    watch.folder.mkdir()
    for name in ("checkpoint_64.pkl", ".checkpoint_128.pkl.1-2.tmp", "experience-1.bin"):
        (watch.folder / name).touch()
    watch.poll()
    (watch.folder / "checkpoint_64.pkl").rename(watch.folder / "checkpoint_128.pkl")
    watch.poll()

    assert list(watch.seen) == [64, 128]
    assert list(steps_in(watch.folder)) == [128]
    assert newest_step(watch.folder) == 128
