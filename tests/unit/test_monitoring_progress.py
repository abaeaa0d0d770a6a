import json
import math
import os
import time
from dataclasses import replace

import pytest

from src.experiments.domain.errors import StorageError
from src.experiments.domain.paths import RunPaths
from src.experiments.domain.records import RunKey, RunProgress, RunStatus
from src.experiments.durability.journal import JournalWriter
from src.experiments.monitoring import (
    JournalProgress,
    ProgressInfo,
    journal_progress,
    progress_info,
    seconds_remaining,
)
from src.experiments.monitoring.journal_progress import TAIL_BYTES

RUN = RunKey("baseline", 42)


def read_progress(paths, run, total_steps=0):
    return JournalProgress(paths, run, total_steps).read()


@pytest.fixture
def paths(tmp_path):
    return RunPaths(tmp_path)


def journal(paths):
    return JournalWriter(paths.journal, clock=lambda: 1000.0)


def events(paths):
    return JournalWriter(paths.events, clock=lambda: 1000.0)


def append_metrics(writer, step, training_time, returns_mean=None):
    metrics = {} if returns_mean is None else {"rollouts/returns_mean": returns_mean}
    writer.append("metrics", step, metrics=metrics, training_time=training_time)


def start(writer):
    writer.append("started", 0, total_timesteps=10_000, planned_timesteps=10_240)


def test_a_run_without_files_is_queued_with_its_planned_steps(paths):
    progress = read_progress(paths, RUN, total_steps=500)

    assert progress == RunProgress(RUN, RunStatus.QUEUED, step=0, total_steps=500)


def test_a_run_is_read_as_it_grows(paths):
    reader = JournalProgress(paths, RUN, total_steps=10_000)
    with events(paths) as told, journal(paths) as trained:
        told.append("attempt_started", 0, attempt=1, pid=7)
        assert reader.read().status is RunStatus.RUNNING
        start(trained)
        append_metrics(trained, 2048, 1.0, returns_mean=21.0)
        first = reader.read()
        append_metrics(trained, 4096, 3.0, returns_mean=35.5)
        second = reader.read()

    assert (first.step, first.total_steps, first.steps_per_second) == (2048, 10_240, 2048.0)
    assert second.steps_per_second == pytest.approx(4096 / 3)
    assert second.seconds_left == pytest.approx((10_240 - 4096) / (4096 / 3))
    assert second.returns_mean == 35.5
    assert second.percent == 40.0


def test_the_speed_is_that_of_the_latest_records(paths):
    with journal(paths) as trained:
        start(trained)
        append_metrics(trained, 10, 100.0)
        for number in range(1, 21):
            append_metrics(trained, 10 + 100 * number, 100.0 + number)

    assert read_progress(paths, RUN).steps_per_second == pytest.approx(100.0)


def test_the_time_left_includes_evaluations_at_the_pace_so_far(paths):
    with journal(paths) as trained:
        start(trained)
        append_metrics(trained, 5120, 5.12)
        trained.append("evaluation", 5120, metrics={"eval/return_mean": 9.0}, evaluation_time=5.12)

    progress = read_progress(paths, RUN)

    assert progress.seconds_left == pytest.approx(10.24)
    assert progress.returns_mean == 9.0


def test_training_returns_are_shown_before_those_of_evaluations(paths):
    with journal(paths) as trained:
        start(trained)
        append_metrics(trained, 1, 1.0, returns_mean=math.nan)
        append_metrics(trained, 2, 2.0, returns_mean=4)
        trained.append("evaluation", 2, metrics={"eval/return_mean": 9.0}, evaluation_time=1.0)

    assert read_progress(paths, RUN).returns_mean == 4.0


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("completed", RunStatus.COMPLETED),
        ("failed", RunStatus.FAILED),
        ("killed", RunStatus.FAILED),
        ("interrupted", RunStatus.INTERRUPTED),
        ("skipped", RunStatus.SKIPPED),
    ],
)
def test_the_outcome_of_the_last_attempt_is_the_runs_status(paths, outcome, status):
    with events(paths) as told:
        told.append("attempt_started", 0, attempt=1, pid=7)
        told.append("attempt_ended", 5, attempt=1, outcome=outcome, cause="signal 9")

    progress = read_progress(paths, RUN)

    assert progress.status is status
    assert progress.error == (None if outcome == "completed" else "signal 9")
    assert progress.seconds_left is None


def test_a_new_attempt_forgets_the_last_ones_failure(paths):
    with events(paths) as told:
        told.append("attempt_started", 0, attempt=1, pid=7)
        told.append("attempt_ended", 5, attempt=1, outcome="failed", cause="NaN")
        told.append("attempt_started", 0, attempt=2, pid=8)

    progress = read_progress(paths, RUN)

    assert (progress.status, progress.attempt, progress.error) == (RunStatus.RUNNING, 2, None)


def test_a_run_that_was_rewound_waits_for_its_next_attempt(paths):
    with events(paths) as told:
        told.append("attempt_started", 0, attempt=1, pid=7)
        told.append("attempt_ended", 5, attempt=1, outcome="interrupted", cause="stopped")
        told.append("rewound", 0, attempt=2)
        waiting = read_progress(paths, RUN, total_steps=100)
        told.append("attempt_started", 0, attempt=2, pid=8)

    assert (waiting.status, waiting.error) == (RunStatus.QUEUED, None)
    assert read_progress(paths, RUN).status is RunStatus.RUNNING


def test_without_an_orchestrator_the_journal_alone_tells_the_status(paths):
    with journal(paths) as trained:
        start(trained)
        running = read_progress(paths, RUN)
        trained.append("finished", 10_240, metrics={}, training_time=4.0)

    assert running.status is RunStatus.RUNNING
    assert read_progress(paths, RUN).status is RunStatus.COMPLETED
    assert read_progress(paths, RUN).percent == 100.0


def test_a_journal_that_was_cut_is_read_from_its_start(paths):
    reader = JournalProgress(paths, RUN)
    with journal(paths) as trained:
        start(trained)
        offset = paths.journal.stat().st_size
        append_metrics(trained, 2048, 1.0, returns_mean=99.0)
    reader.read()
    with paths.journal.open("r+b") as file:
        file.truncate(offset)

    progress = reader.read()

    assert (progress.step, progress.total_steps, progress.returns_mean) == (0, 10_240, None)


def test_a_journal_that_was_cut_and_has_grown_past_the_reader_is_read_from_its_start(paths):
    reader = JournalProgress(paths, RUN)
    with journal(paths) as trained:
        start(trained)
        offset = paths.journal.stat().st_size
        append_metrics(trained, 2048, 1.0, returns_mean=99.0)
    reader.read()
    with paths.journal.open("r+b") as file:
        file.truncate(offset)
    with events(paths) as told, journal(paths) as trained:
        told.append("rewound", 0, attempt=2)
        for number in range(1, 9):
            append_metrics(trained, 100 * number, float(number), returns_mean=float(number))

    progress = reader.read()

    assert (progress.step, progress.returns_mean) == (800, 8.0)
    assert progress.steps_per_second == pytest.approx(100.0)


def test_a_journal_replaced_by_another_file_is_read_from_its_start(paths, tmp_path):
    reader = JournalProgress(paths, RUN)
    with journal(paths) as trained:
        start(trained)
        append_metrics(trained, 7, 1.0)
    reader.read()
    text = paths.journal.read_text()
    other = tmp_path / "other"
    other.write_text(text + json.dumps({"kind": "metrics", "step": 9, "metrics": {}}) + "\n")
    other.replace(paths.journal)

    assert reader.read().step == 9


def test_a_torn_last_line_waits_for_its_end(paths):
    reader = JournalProgress(paths, RUN)
    with journal(paths) as trained:
        start(trained)
    with paths.journal.open("ab") as file:
        file.write(b'{"kind": "metrics", "step": 2048')
    before = reader.read().step
    with paths.journal.open("ab") as file:
        file.write(b', "metrics": {}, "training_time": 2.0}\n')

    assert before == 0
    assert reader.read().step == 2048


def run(arm, seed, status, step=0, total=100, speed=None, left=None):
    return RunProgress(RunKey(arm, seed), status, step, total, speed, seconds_left=left)


def test_time_remaining_adds_up_runs_that_follow_each_other():
    runs = [
        run("baseline", 1, RunStatus.COMPLETED, 100, speed=10.0),
        run("variant", 1, RunStatus.RUNNING, 50, speed=5.0, left=10.0),
        run("baseline", 2, RunStatus.QUEUED),
        run("variant", 2, RunStatus.QUEUED),
    ]

    assert seconds_remaining(runs) == pytest.approx(10.0 + 100 / 10 + 100 / 5)


def test_a_queued_run_of_an_unseen_arm_is_as_fast_as_the_others():
    runs = [
        run("baseline", 1, RunStatus.RUNNING, 50, speed=10.0, left=5.0),
        run("variant", 1, RunStatus.QUEUED, total=200),
    ]

    assert seconds_remaining(runs) == pytest.approx(5.0 + 20.0)


def test_slots_share_the_time_but_no_run_is_shared():
    runs = [
        run("baseline", 1, RunStatus.RUNNING, 0, speed=10.0, left=10.0),
        run("variant", 1, RunStatus.RUNNING, 0, speed=10.0, left=10.0),
        run("baseline", 2, RunStatus.QUEUED),
        run("variant", 2, RunStatus.QUEUED),
    ]

    assert seconds_remaining(runs, slots=2) == pytest.approx(20.0)
    assert seconds_remaining(runs[:3], slots=2) == pytest.approx(15.0)
    assert seconds_remaining(runs[:1], slots=8) == pytest.approx(10.0)


def test_without_any_speed_the_time_is_unknown():
    assert seconds_remaining([run("baseline", 1, RunStatus.QUEUED)]) is None
    assert seconds_remaining([run("baseline", 1, RunStatus.RUNNING)]) is None


@pytest.mark.parametrize(
    "status", [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.SKIPPED, RunStatus.INTERRUPTED]
)
def test_nothing_left_takes_no_time(status):
    assert seconds_remaining([run("baseline", 1, status, 10)]) == 0.0


def test_the_summary_speaks_of_both_arms():
    runs = [
        run("baseline", 1, RunStatus.COMPLETED, 100, speed=10.0),
        run("baseline", 2, RunStatus.RUNNING, 50, speed=10.0, left=5.0),
        run("variant", 1, RunStatus.QUEUED),
        run("variant", 2, RunStatus.QUEUED),
    ]

    info = progress_info(runs, "running_baseline")

    assert info == ProgressInfo(
        current_step=150,
        total_steps=400,
        current_phase="running_baseline",
        baseline_progress=75.0,
        variant_progress=0.0,
        estimated_time_remaining=25.0,
        current_config="baseline",
    )
    assert info.overall_progress == 37.5


def test_several_variants_are_summed_up_together():
    runs = [
        run("baseline", 1, RunStatus.COMPLETED, 100),
        run("small", 1, RunStatus.RUNNING, 50),
        run("large", 1, RunStatus.RUNNING, 10),
    ]

    info = progress_info(runs, "running", slots=2)

    assert info.variant_progress == 30.0
    assert info.current_config == "small, large"


def test_nothing_planned_is_no_progress():
    assert progress_info([], "idle") == ProgressInfo()
    assert ProgressInfo().overall_progress == 0.0


def test_a_finished_experiment_is_at_one_hundred_percent():
    done = run("baseline", 1, RunStatus.COMPLETED, 128, total=100)
    info = progress_info([done, replace(done, run=RunKey("variant", 1))], "completed")

    assert info.overall_progress == 100.0


def write_a_long_run(paths, outcome, rows=200, returns_until=10**9):
    """A run whose streams are longer than what is read of their ends."""
    with events(paths) as told, journal(paths) as trained:
        told.append("attempt_started", 0, attempt=3, pid=7)
        start(trained)
        for row in range(1, rows + 1):
            returns = float(row) if row <= returns_until else None
            append_metrics(trained, 51 * row, row / 10, returns_mean=returns)
            told.append("resources", 51 * row, cpu_percent=99.0, memory_mb=400.0)
        if outcome == "completed":
            append_metrics(trained, 10_240, 21.0, returns_mean=201.0)
            trained.append(
                "evaluation", 10_240, metrics={"eval/return_mean": 9.0}, returns=[9] * 99
            )
            trained.append("finished", 10_240, metrics={}, training_time=21.0)
        told.append("attempt_ended", 10_240, attempt=3, outcome=outcome, cause="a cause")
    assert min(paths.journal.stat().st_size, paths.events.stat().st_size) > 2 * TAIL_BYTES


@pytest.mark.parametrize("outcome", ["completed", "failed", "interrupted"])
@pytest.mark.parametrize("returns_until", [10**9, 10])
def test_the_end_of_a_long_run_tells_what_the_whole_tells(
    paths, outcome, returns_until, monkeypatch
):
    write_a_long_run(paths, outcome, returns_until=returns_until)
    from_the_end = read_progress(paths, RUN, 10_000)
    monkeypatch.setattr(journal_progress, "TAIL_BYTES", 10**9)
    from_the_whole = read_progress(paths, RUN, 10_000)

    assert from_the_end == from_the_whole
    assert from_the_end.attempt == 3
    assert (from_the_end.step, from_the_end.total_steps) == (10_240, 10_240)


def test_of_a_long_run_that_has_ended_only_the_end_is_read(paths, monkeypatch):
    write_a_long_run(paths, "completed")
    parsed = []
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda line: parsed.append(line) or loads(line))

    progress = read_progress(paths, RUN)

    assert (progress.returns_mean, progress.steps_per_second) == (201.0, 10_240 / 21.0)
    assert len(parsed) == 2  # the last event, and the last row


def test_a_long_run_that_is_trained_again_is_read_anew(paths):
    write_a_long_run(paths, "failed")
    reader = JournalProgress(paths, RUN)
    reader.read()
    paths.journal.write_bytes(b"")
    with events(paths) as told, journal(paths) as trained:
        told.append("rewound", 0, attempt=4)
        queued = reader.read()
        told.append("attempt_started", 0, attempt=4, pid=8)
        start(trained)
        append_metrics(trained, 100, 1.0, returns_mean=1.0)

    assert (queued.status, queued.step, queued.returns_mean) == (RunStatus.QUEUED, 0, None)
    again = reader.read()
    assert (again.status, again.attempt, again.step) == (RunStatus.RUNNING, 4, 100)


def test_the_beginning_of_a_long_attempt_is_found(paths):
    with events(paths) as told:
        told.append("attempt_started", 0, attempt=2, pid=7)
        for step in range(200):
            told.append("resources", step, cpu_percent=99.0, memory_mb=400.0 + step)
    reader = JournalProgress(paths, RUN)

    assert (reader.read().status, reader.read().attempt) == (RunStatus.RUNNING, 2)
    assert reader.sample()["memory_mb"] == 599.0
    assert reader.moment == 1000.0


@pytest.mark.parametrize(
    ("state", "looks"),
    [("queued", 1), ("rewound", 1), ("running", 2), ("completed", 1)],
)
def test_a_look_without_news_opens_nothing(tmp_path, monkeypatch, state, looks):
    paths = RunPaths(tmp_path / "baseline_seed42")
    if state != "queued":
        with events(paths) as told, journal(paths) as trained:
            told.append("attempt_started", 0, attempt=1, pid=7)
            start(trained)
            append_metrics(trained, 2048, 1.0, returns_mean=99.0)
            if state == "completed":
                told.append("attempt_ended", 2048, attempt=1, outcome="completed")
        if state == "rewound":
            paths.journal.write_bytes(b"")
            with events(paths) as told:
                told.append("rewound", 0, attempt=2)
    reader = JournalProgress(paths, RUN)
    before = reader.read()
    asked, stat = [], os.stat
    monkeypatch.setattr(os, "stat", lambda name, **how: asked.append(name) or stat(name, **how))
    monkeypatch.setattr("builtins.open", lambda *_, **__: pytest.fail("opened"))

    assert reader.read() is before
    assert len(asked) == looks


def test_a_damaged_journal_is_named_at_every_look_until_it_is_mended(paths):
    with journal(paths) as trained:
        start(trained)
    whole = paths.journal.read_bytes()
    paths.journal.write_bytes(b"nonsense\n" + whole)
    reader = JournalProgress(paths, RUN)

    for _ in range(2):
        with pytest.raises(StorageError, match="not a record"):
            reader.read()
    paths.journal.write_bytes(whole)
    assert reader.read().status is RunStatus.RUNNING


def test_a_reader_that_finds_itself_inside_a_line_reads_from_the_start(paths):
    reader = JournalProgress(paths, RUN)
    with journal(paths) as trained:
        start(trained)
        append_metrics(trained, 2048, 1.0)
    reader.read()
    # cut and grown past the reader between two looks, without a word in the events
    paths.journal.write_bytes(b"")
    with journal(paths) as trained:
        trained.append("started", 0, planned_timesteps=512, note="x" * 500)
        append_metrics(trained, 256, 1.0)

    assert (reader.read().step, reader.read().total_steps) == (256, 512)


def test_the_time_that_is_left_is_told_for_a_thousand_runs_in_a_moment():
    runs = [run(arm, i, RunStatus.QUEUED) for arm in ("baseline", "variant") for i in range(500)]
    runs.append(run("baseline", 999, RunStatus.COMPLETED, 100, speed=10.0))
    begun = time.process_time()

    assert seconds_remaining(runs, slots=10) == pytest.approx(1000.0)
    assert time.process_time() - begun < 0.05
