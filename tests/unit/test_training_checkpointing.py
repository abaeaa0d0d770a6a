"""Which checkpoint a run goes on from, what one holds, and when one is saved."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.experiments.domain.errors import RunStoppedError, StorageError
from src.experiments.domain.paths import RunPaths
from src.experiments.domain.records import CheckpointProtocol, TrainerConfig
from src.experiments.durability.journal import read_journal
from src.experiments.durability.segments import SegmentWriter
from src.experiments.training.backend import StopTraining
from src.experiments.training.checkpointing import Checkpointing
from src.experiments.training.recording import Journal
from src.experiments.training.run_checkpoints import RunCheckpoints, SavedRun
from src.experiments.training.run_log import RunLog
from tests.checkpoint_bytes import pack, unpack


@pytest.fixture
def config(tmp_path: Path) -> TrainerConfig:
    journal = RunPaths(tmp_path / "runs" / "baseline_seed1").journal
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"{}\n" * 5000)
    return TrainerConfig(
        "PPO",
        "CartPole-v1",
        1000,
        seed=1,
        hyperparameters={"n_steps": 64, "batch_size": 32},
        run_dir=tmp_path / "runs" / "baseline_seed1",
        checkpoints=tmp_path / "checkpoints" / "baseline_seed1",
        checkpoint=CheckpointProtocol(frequency=100, keep=3),
    )


def save(checkpoints: RunCheckpoints, step: int, **training: Any) -> None:
    checkpoints.save(
        step,
        journal_bytes=10 * step,
        recorder={"next_row": step + 1},
        training=training,
    )


def experience(checkpoints: RunCheckpoints, *values: int) -> list[dict[str, Any]]:
    """Chunks as a replay buffer tells them."""
    return [
        {"first": value, "end": value + 1, "chunk": checkpoints.writer.append({"a": np.ones(40)})}
        for value in values
    ]


def steps_of(checkpoints: RunCheckpoints) -> list[int]:
    return [saved.step for saved in checkpoints.starting_points()]


def experience_files(config: TrainerConfig) -> list[str]:
    assert config.checkpoints is not None
    return sorted(path.name for path in config.checkpoints.glob("experience-*.bin"))


# ---- which one


def test_the_newest_one_is_tried_first(config: TrainerConfig) -> None:
    checkpoints = RunCheckpoints(config)
    for step in (100, 200, 1000):
        save(checkpoints, step, weights=b"w")

    first, *_ = RunCheckpoints(replace(config, attempt=2)).starting_points()
    assert first == SavedRun(1000, 10_000, {"next_row": 1001}, {"weights": b"w"}, (), None)
    assert steps_of(checkpoints) == [1000, 200, 100]


def test_as_many_as_wanted_are_kept(config: TrainerConfig) -> None:
    checkpoints = RunCheckpoints(config)
    for step in range(100, 700, 100):
        save(checkpoints, step)

    assert steps_of(checkpoints) == [600, 500, 400]


def test_without_checkpoints_there_is_no_point_to_start_from(config: TrainerConfig) -> None:
    checkpoints = RunCheckpoints(config)

    assert checkpoints.is_empty()
    assert steps_of(checkpoints) == []


def test_a_run_without_a_folder_for_checkpoints_is_refused(config: TrainerConfig) -> None:
    with pytest.raises(ValueError, match="no folder"):
        RunCheckpoints(replace(config, checkpoints=None))


def test_damage_falls_back_with_a_warning_that_names_both(
    config: TrainerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = RunCheckpoints(config)
    save(checkpoints, 100)
    save(checkpoints, 200)
    newest = checkpoints.directory / "checkpoint_200.pkl"
    newest.write_bytes(newest.read_bytes()[:-9])

    assert steps_of(checkpoints) == [100]
    assert f"checkpoint {newest} is not used" in caplog.text
    assert "trying checkpoint_100.pkl" in caplog.text
    assert newest.exists()


def test_one_of_which_the_journal_was_cut_short_is_not_used(
    config: TrainerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    assert config.run_dir is not None
    checkpoints = RunCheckpoints(config)
    save(checkpoints, 100)
    save(checkpoints, 200)
    journal = RunPaths(config.run_dir).journal
    journal.write_bytes(journal.read_bytes()[:1500])

    assert steps_of(checkpoints) == [100]
    assert "the journal's first 2,000 bytes are not those it goes with" in caplog.text


def test_one_that_could_not_be_taken_over_is_passed_over_by_name(
    config: TrainerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = RunCheckpoints(config)
    save(checkpoints, 100)
    (saved,) = checkpoints.starting_points()
    checkpoints.pass_over(saved, ValueError("no weights"))

    assert "checkpoint_100.pkl is not used: no weights; there is none before it" in caplog.text


def test_all_damaged_is_an_error_that_says_what_to_do(config: TrainerConfig) -> None:
    checkpoints = RunCheckpoints(config)
    save(checkpoints, 100)
    (checkpoints.directory / "checkpoint_100.pkl").write_bytes(b"")
    error = checkpoints.untrusted_error()

    assert steps_of(checkpoints) == []
    assert not checkpoints.is_empty()
    assert "none of 1 checkpoints can be used" in str(error)
    assert error.remedy is not None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"algorithm": "A2C"}, 'algorithm "PPO", not "A2C"'),
        ({"environment": "Acrobot-v1"}, "environment"),
        ({"environment_kwargs": {"gravity": 1}}, "environment_kwargs"),
        ({"seed": 2}, "seed 1, not 2"),
        ({"total_timesteps": 2000}, "training_steps 1000, not 2000"),
        ({"hyperparameters": {"n_steps": 128}}, "hyperparameters"),
        ({"policy": "MlpLstmPolicy"}, "policy"),
        ({"n_envs": 2}, "n_envs 1, not 2"),
        ({"wrappers": ({"name": "TimeLimit"},)}, "wrappers"),
        ({"normalize": {}}, "normalize"),
        ({"torch_threads": 2}, "torch_threads"),
        ({"run_dir": Path("runs/variant_seed1")}, 'run "baseline_seed1", not "variant_seed1"'),
    ],
    ids=lambda value: "".join(value) if isinstance(value, dict) else "",
)
def test_the_checkpoint_of_another_run_is_refused_and_told_in_what_it_differs(
    config: TrainerConfig,
    caplog: pytest.LogCaptureFixture,
    change: dict[str, Any],
    told: str,
) -> None:
    save(RunCheckpoints(config), 100)
    other = RunCheckpoints(replace(config, **change))

    assert steps_of(other) == []
    assert "it belongs to another run" in caplog.text
    assert told in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"attempt": 3},
        {"hyperparameters": {"n_steps": 64, "batch_size": 8}},
        {"hyperparameters": {"n_steps": 64, "batch_size": 32, "buffer_size": 10}},
        {"accelerate": False},
        {"experiment_name": "another"},
    ],
    ids=lambda value: "".join(value),
)
def test_what_a_later_attempt_may_change_does_not_make_another_run(
    config: TrainerConfig, change: dict[str, Any]
) -> None:
    save(RunCheckpoints(config), 100)

    assert steps_of(RunCheckpoints(replace(config, **change))) == [100]


def test_libraries_of_other_versions_are_told_as_the_reason(config: TrainerConfig) -> None:
    checkpoints = RunCheckpoints(config)
    save(checkpoints, 100)
    path = checkpoints.directory / "checkpoint_100.pkl"
    state = unpack(path.read_bytes(), path)
    now = state["libraries"]["torch"]
    state["libraries"]["torch"] = "1.0"
    path.write_bytes(pack(state))
    (saved,) = checkpoints.starting_points()

    assert saved.other_versions == f"it was saved with torch 1.0, now {now}"


# ---- saving


def test_an_attempt_that_was_given_up_saves_no_more(config: TrainerConfig) -> None:
    assert config.run_dir is not None
    checkpoints = RunCheckpoints(config)
    save(checkpoints, 100)
    RunPaths(config.run_dir).attempt(2).root.mkdir(parents=True)

    with pytest.raises(RunStoppedError, match="attempt 2 has begun"):
        save(checkpoints, 200)
    assert steps_of(checkpoints) == [100]
    save(RunCheckpoints(replace(config, attempt=2)), 200)
    assert steps_of(checkpoints) == [200, 100]


def test_files_of_experience_go_when_no_kept_checkpoint_refers_to_them(
    config: TrainerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.experiments.durability.segments.FILE_BYTES", 1)
    checkpoints = RunCheckpoints(config)
    chunks: list[dict[str, Any]] = []
    for number in range(5):  # the buffer holds the newest two chunks
        chunks = chunks[-1:] + experience(checkpoints, number)
        save(checkpoints, 100 * (number + 1), experience={"chunks": chunks})

    # three checkpoints are kept, of the chunks 1 and 2, 2 and 3, 3 and 4
    assert experience_files(config) == [f"experience-1-{number}.bin" for number in range(1, 5)]


def test_files_of_an_earlier_attempt_stay_as_long_as_they_are_referred_to(
    config: TrainerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config, checkpoint=CheckpointProtocol(frequency=100, keep=2))
    first = RunCheckpoints(config)
    chunks = experience(first, 1)
    save(first, 100, experience={"chunks": chunks})
    second = RunCheckpoints(replace(config, attempt=2))
    seen = []
    for step in (200, 300, 400):
        if step == 300:
            chunks = []
        chunks = chunks + experience(second, step)
        save(second, step, experience={"chunks": chunks})
        seen.append(experience_files(config))

    both = ["experience-1-0.bin", "experience-2-0.bin"]
    assert seen == [both, both, both[1:]]


def test_a_file_that_is_being_written_stays(config: TrainerConfig) -> None:
    checkpoints = RunCheckpoints(config)
    experience(checkpoints, 1)
    save(checkpoints, 100, experience={"chunks": []})

    assert experience_files(config) == ["experience-1-0.bin"]


def test_a_damaged_neighbour_does_not_keep_a_checkpoint_from_being_saved(
    config: TrainerConfig,
) -> None:
    save(RunCheckpoints(config), 100)
    assert config.checkpoints is not None
    (config.checkpoints / "checkpoint_100.pkl").write_bytes(b"damaged")
    checkpoints = RunCheckpoints(replace(config, attempt=2))
    save(checkpoints, 200, experience={"chunks": experience(checkpoints, 1)})

    assert steps_of(checkpoints) == [200]
    assert experience_files(config) == ["experience-2-0.bin"]


def test_a_disk_that_refuses_leaves_the_earlier_ones(config: TrainerConfig) -> None:
    checkpoints = RunCheckpoints(config)
    save(checkpoints, 100)
    path = checkpoints.directory / "checkpoint_200.pkl"
    path.mkdir()

    with pytest.raises(StorageError) as caught:
        save(checkpoints, 200)
    assert caught.value.where == str(path)
    path.rmdir()
    assert steps_of(checkpoints) == [100]


# ---- when


class Recorder:
    """Wants to be told every so many steps."""

    def __init__(self, interval: int) -> None:
        self.next_step = self.interval = interval
        self.told: list[int] = []

    def observe(self, step: int, collect: Callable[[], dict[str, float]]) -> None:
        self.told.append(step)
        self.next_step = step + self.interval

    def capture(self) -> dict[str, Any]:
        return {"told": list(self.told)}

    def go_on(self, state: dict[str, Any], journal: Journal) -> None:
        self.told = list(state["told"])
        journal.append("text", self.told[-1])


class Model:
    """What is trained, as far as it tells its state."""

    why_inexact: str | None = None

    def capture(self, writer: SegmentWriter) -> dict[str, Any]:
        return {"weights": b"w"}


Observe = Callable[..., Checkpointing]


@pytest.fixture
def observing(config: TrainerConfig) -> Iterator[Observe]:
    """Observers of the run with an open journal."""
    with ExitStack() as opened:

        def create(recorder: Recorder, *, stops: bool = False, saves: bool = True) -> Checkpointing:
            log = opened.enter_context(RunLog(config))
            log.begin()
            checkpoints = RunCheckpoints(config) if saves else None
            model: Any = Model()
            observed: Any = recorder
            return Checkpointing(model, observed, log, checkpoints, lambda: stops)

        yield create


def at_boundaries(observer: Checkpointing, steps: Iterable[int]) -> None:
    for step in steps:
        if step >= observer.next_step:
            observer.observe(step, dict)


def saved_in(config: TrainerConfig) -> dict[int, Any]:
    """What the recorder had been told when each checkpoint was saved, by step."""
    found = RunCheckpoints(config).starting_points()
    return {saved.step: saved.recorder["told"] for saved in reversed(list(found))}


def test_it_saves_at_the_first_boundary_at_or_after_each_multiple(
    config: TrainerConfig, observing: Observe
) -> None:
    recorder = Recorder(1000)
    at_boundaries(observing(recorder), range(0, 400, 64))

    assert saved_in(config) == {128: [], 256: [], 320: []}


def test_what_is_recorded_at_a_boundary_is_in_its_checkpoint(
    config: TrainerConfig, observing: Observe
) -> None:
    at_boundaries(observing(Recorder(100)), range(100, 301, 100))

    assert saved_in(config) == {100: [100], 200: [100, 200], 300: [100, 200, 300]}


def test_the_recorder_is_told_no_more_often_because_of_checkpoints(observing: Observe) -> None:
    recorder = Recorder(150)
    at_boundaries(observing(recorder), range(0, 500, 50))

    assert recorder.told == [150, 300, 450]


def test_going_on_saves_at_the_same_steps_and_tells_what_was_recorded(
    config: TrainerConfig, observing: Observe
) -> None:
    assert config.run_dir is not None
    at_boundaries(observing(Recorder(100)), range(0, 500, 64))
    undisturbed = saved_in(config)
    at_boundaries(observing(Recorder(100)), range(0, 300, 64))
    (newest, *_) = RunCheckpoints(config).starting_points()
    recorder = Recorder(100)
    observer = observing(recorder)
    resumption = observer.resumption(newest)
    assert resumption is not None
    resumption.on_restored(None)
    at_boundaries(observer, range(newest.step + 64, 500, 64))

    assert resumption.state == {"weights": b"w"}
    assert recorder.told[: len(newest.recorder["told"])] == newest.recorder["told"]
    assert list(saved_in(config)) == list(undisturbed)
    assert [each["step"] for each in read_journal(RunPaths(config.run_dir).journal)] == [256]


def test_why_going_on_is_not_exact_is_written_where_the_attempt_begins(
    config: TrainerConfig, observing: Observe
) -> None:
    assert config.run_dir is not None
    at_boundaries(observing(Recorder(100)), [128])
    (saved,) = RunCheckpoints(config).starting_points()
    start = RunPaths(config.run_dir).attempt(1).start
    told = []
    for other_versions, why in ((None, None), ("torch 1.0", None), ("torch 1.0", "noise")):
        observer = observing(Recorder(100))
        resumption = observer.resumption(replace(saved, other_versions=other_versions))
        assert resumption is not None
        resumption.on_restored(why)
        told.append(json.loads(start.read_text()))

    assert [each["why_inexact"] for each in told] == [None, "torch 1.0", "noise"]
    assert {each["step"] for each in told} == {128}


def test_without_a_checkpoint_there_is_nothing_to_go_on_from(observing: Observe) -> None:
    assert observing(Recorder(100)).resumption(None) is None


def test_asked_to_stop_it_saves_at_the_next_boundary_and_stops(
    config: TrainerConfig, observing: Observe
) -> None:
    observer = observing(Recorder(999), stops=True)

    with pytest.raises(StopTraining):
        at_boundaries(observer, [7])
    assert saved_in(config) == {7: []}


def test_asked_to_stop_without_a_place_for_checkpoints_it_only_stops(
    config: TrainerConfig, observing: Observe
) -> None:
    observer = observing(Recorder(999), stops=True, saves=False)

    with pytest.raises(StopTraining):
        at_boundaries(observer, [7])
    assert RunCheckpoints(config).is_empty()


def test_without_a_place_for_checkpoints_it_is_due_when_the_recorder_is(
    observing: Observe,
) -> None:
    assert observing(Recorder(5000), saves=False).next_step == 5000
