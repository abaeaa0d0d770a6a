import json
from dataclasses import replace

from src.experiments.cli.json_output import ascii_json, event
from src.experiments.cli.plain import ChangeLog, line
from src.experiments.cli.snapshot import Snapshot
from src.experiments.domain.records import RunKey, RunProgress, RunStatus

RUN = RunProgress(RunKey("baseline", 42), RunStatus.QUEUED, step=0, total_steps=10_240)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def lines_of(*looks: tuple[float, RunProgress]) -> list[str]:
    clock, lines = Clock(), list[str]()
    view = ChangeLog(lambda change: lines.append(line(change)), lines.append, print, clock=clock)
    for clock.now, progress in looks:
        view.update(Snapshot("running", (progress,)), [])
    return lines


def running(step: int, **fields: object) -> RunProgress:
    return replace(RUN, status=RunStatus.RUNNING, step=step, **fields)  # type: ignore[arg-type]


def test_a_queued_run_says_nothing() -> None:
    assert lines_of((0, RUN)) == []


def test_a_run_says_when_it_starts_and_ends() -> None:
    ended = replace(RUN, status=RunStatus.COMPLETED, step=10_240, returns_mean=195.25)

    lines = lines_of((0, running(0)), (12, ended), (13, ended))

    expected = [
        "baseline_seed42: started, 10,240 steps",
        "baseline_seed42: completed after 0:12 · 10,240 steps · training return 195.2",
    ]
    assert expected == lines


def test_progress_is_told_every_ten_percent_or_ten_seconds() -> None:
    looks = [(second / 4, running(100 + second)) for second in range(100)]

    lines = lines_of(*looks)

    assert len(lines) == 3  # the start, and after 10 s and 20 s
    fast = [(0.001 * percent, running(percent * 1024 // 10)) for percent in range(100)]
    assert len(lines_of(*fast)) == 10


def test_a_run_without_progress_repeats_nothing() -> None:
    assert len(lines_of(*((second, running(5000)) for second in range(100)))) == 1


def test_a_progress_line_tells_speed_return_and_time_left() -> None:
    later = running(3072, steps_per_second=1234.5, returns_mean=23.4, seconds_left=5.8)

    lines = lines_of((0, running(0)), (2, later))

    expected = (
        "baseline_seed42:  30 % · 3,072 of 10,240 steps · 1,234 steps/s · return 23.40 · 0:06 left"
    )
    assert expected == lines[-1]


def test_a_retry_is_told_as_a_new_attempt() -> None:
    failed = replace(running(500), status=RunStatus.FAILED, error="killed\x1b[2J by signal 9")

    lines = lines_of((0, running(0)), (1, failed), (2, running(0, attempt=2)))

    expected = [
        "baseline_seed42: started, 10,240 steps",
        "baseline_seed42: failed after 0:01 · 500 steps · killed\\x1b[2J by signal 9",
        "baseline_seed42 (attempt 2): started, 10,240 steps",
    ]
    assert expected == lines


def test_json_events_carry_the_whole_progress_and_notices_go_elsewhere() -> None:
    clock, events, notices = Clock(), list[dict[str, object]](), list[str]()
    view = ChangeLog(
        lambda change: events.append(event(change)), notices.append, print, clock=clock
    )

    view.update(Snapshot("running", (running(1024, returns_mean=float("nan")),)), ["careful"])

    assert notices == ["careful"]
    assert events[0]["event"] == "run_started"
    assert tuple(events[0][k] for k in ("run", "arm", "seed")) == (
        "baseline_seed42",
        "baseline",
        42,
    )
    assert events[0]["percent"] == 10.0
    assert json.loads(ascii_json(events[0]))["returns_mean"] is None


def test_json_is_ascii_and_strict() -> None:
    assert ascii_json({"a": "\u202eи", "b": float("inf")}) == '{"a": "\\u202e\\u0438", "b": null}'


def test_a_run_that_was_complete_before_is_told_as_kept_once():
    kept = replace(RUN, status=RunStatus.COMPLETED, step=10_240)

    assert lines_of((0.0, kept), (1.0, kept)) == ["baseline_seed42: complete already"]


def test_how_many_runs_go_on_at_a_time_is_told_once() -> None:
    told: list[tuple[int, str]] = []
    view = ChangeLog(lambda _: None, lambda _: None, lambda *said: told.append(said))

    for _ in range(2):
        view.update(Snapshot("running", (running(0),), slots=2, admission="2 runs at a time"), [])

    assert told == [(2, "2 runs at a time")]
