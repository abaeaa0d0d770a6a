"""What every executor promises."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from src.experiments.domain.errors import TrainingError
from src.experiments.domain.records import RunKey
from src.experiments.execution import (
    InProcessExecutor,
    Job,
    JobStarted,
    OutcomeKind,
    ProcessPoolExecutor,
)
from src.experiments.execution.process_pool import GRACE_SECONDS

from . import jobs

EXECUTORS = {
    "in_process": InProcessExecutor,
    "one_slot": partial(ProcessPoolExecutor, 1),
    "two_slots": partial(ProcessPoolExecutor, 2),
}
with_processes = pytest.mark.parametrize("name", ["one_slot", "two_slots"])
everywhere = pytest.mark.parametrize("name", list(EXECUTORS))


def job(target, name="baseline_seed1", **fields):
    return Job(name, (RunKey.from_name(name),), target, **fields)


def outcomes_of(executor, count, seconds=30.0):
    found, deadline = [], time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        event = executor.next_event(0.2)
        if event is not None and not isinstance(event, JobStarted):
            found.append(event)
    assert len(found) == count
    return found


def outcome_of(name, target, **fields):
    with EXECUTORS[name]() as executor:
        executor.submit(job(target, **fields))
        return outcomes_of(executor, 1)[0]


@everywhere
def test_a_value_comes_back(name):
    outcome = outcome_of(name, jobs.answer)

    assert (outcome.kind, outcome.value) == (OutcomeKind.FINISHED, 42)


@everywhere
def test_returning_none_is_finishing(name):
    outcome = outcome_of(name, jobs.nothing)

    assert (outcome.kind, outcome.value) == (OutcomeKind.FINISHED, None)


@everywhere
def test_an_exception_keeps_its_built_in_type_and_text(name):
    error = outcome_of(name, jobs.raise_memory_error).as_exception()

    assert isinstance(error, MemoryError)
    assert str(error) == "no room for the buffer"


@everywhere
def test_an_exception_carries_its_traceback(name):
    assert "raise_memory_error" in outcome_of(name, jobs.raise_memory_error).error.traceback


@everywhere
def test_a_start_is_told_before_the_outcome_with_the_process(name):
    with EXECUTORS[name]() as executor:
        executor.submit(job(jobs.answer))
        event = None
        while event is None:
            event = executor.next_event(0.2)

        assert isinstance(event, JobStarted)
        assert event.pid > 0
        outcomes_of(executor, 1)


@with_processes
@pytest.mark.parametrize(
    ("target", "number"), [(jobs.kill_itself, signal.SIGKILL), (jobs.crash, signal.SIGSEGV)]
)
def test_a_killed_process_is_named_by_its_signal(name, target, number, tmp_path):
    outcome = outcome_of(name, target, log=tmp_path / "training.log")

    assert (outcome.kind, outcome.signal_number) == (OutcomeKind.SIGNAL, number)
    assert number.name in str(outcome.as_exception())


@with_processes
def test_a_process_that_just_leaves_is_named_by_its_exit_code(name):
    outcome = outcome_of(name, jobs.exit_at_once)

    assert (outcome.kind, outcome.exit_code) == (OutcomeKind.EXIT_CODE, 7)


@with_processes
def test_a_result_that_cannot_cross_is_an_exception(name):
    assert outcome_of(name, jobs.return_a_lambda).kind is OutcomeKind.EXCEPTION


@with_processes
def test_a_killed_worker_costs_only_its_own_run(name):
    with EXECUTORS[name]() as executor:
        executor.submit(job(jobs.kill_itself, "baseline_seed1"))
        for seed in range(2, 6):
            executor.submit(job(jobs.answer, f"baseline_seed{seed}"))
        kinds = {outcome.job.name: outcome.kind for outcome in outcomes_of(executor, 5)}

    assert kinds.pop("baseline_seed1") is OutcomeKind.SIGNAL
    assert set(kinds.values()) == {OutcomeKind.FINISHED}


@with_processes
def test_cancelling_leaves_no_child_and_reports_every_job(name):
    with EXECUTORS[name]() as executor:
        for seed in range(4):
            executor.submit(job(jobs.sleep_long, f"baseline_seed{seed}"))
        while not executor.pids():
            executor.next_event(0.2)
        pids = list(executor.pids().values())
        executor.cancel()
        outcomes = outcomes_of(executor, 4)

    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.CANCELLED}
    assert not any(psutil.pid_exists(pid) for pid in pids)


@with_processes
def test_cancelling_at_once_does_not_wait_for_the_grace_to_pass(name):
    with EXECUTORS[name]() as executor:
        executor.submit(job(jobs.answer))
        outcomes_of(executor, 1)
        for _ in range(8):
            executor.submit(job(jobs.sleep_long))
            while not isinstance(executor.next_event(0.2), JobStarted):
                pass
            begun = time.monotonic()
            executor.cancel()
            assert time.monotonic() - begun < GRACE_SECONDS / 2
            outcomes_of(executor, 1)


@with_processes
def test_what_was_finished_when_cancelled_counts(name):
    with EXECUTORS[name]() as executor:
        executor.submit(job(jobs.answer))
        while not isinstance(executor.next_event(0.2), JobStarted):
            pass
        time.sleep(0.5)
        executor.cancel()
        (outcome,) = outcomes_of(executor, 1)

    assert (outcome.kind, outcome.value) == (OutcomeKind.FINISHED, 42)


@with_processes
def test_a_retry_goes_before_what_waits(name):
    with ProcessPoolExecutor(1) as executor:
        executor.submit(job(jobs.kill_itself, "baseline_seed1"))
        executor.submit(job(jobs.answer, "variant_seed1"))
        outcomes_of(executor, 1)
        executor.submit(job(jobs.answer, "baseline_seed1"), first=True)
        order = [outcome.job.name for outcome in outcomes_of(executor, 2)]

    assert order == ["baseline_seed1", "variant_seed1"]


@everywhere
def test_leaving_by_sys_exit_is_an_exit_code_also_when_it_is_zero(name):
    outcome = outcome_of(name, jobs.leave_quietly)

    assert (outcome.kind, outcome.exit_code) == (OutcomeKind.EXIT_CODE, 0)


@everywhere
def test_secrets_and_endless_texts_do_not_cross(name, monkeypatch):
    monkeypatch.setenv("CANARY_API_KEY", "s3cr3t-canary")
    record = outcome_of(name, jobs.tell_a_secret).error

    assert "s3cr3t-canary" not in record.message + record.traceback
    assert len(record.message) < 3000


@with_processes
def test_leaving_ends_what_a_job_still_runs(name):
    with EXECUTORS[name]() as executor:
        executor.submit(job(jobs.sleep_long))
        while not executor.pids():
            executor.next_event(0.2)
        (pid,) = executor.pids().values()

    assert not is_alive_within(pid, seconds=5)


@with_processes
def test_what_a_job_started_and_left_is_killed(name, tmp_path):
    pid_file = tmp_path / "pid"
    outcome_of(name, partial(jobs.leave_a_grandchild, pid_file))

    assert not is_alive_within(int(pid_file.read_text()), seconds=5)


@with_processes
def test_output_goes_to_the_log(name, tmp_path):
    log = Path(tmp_path, "attempt-1", "training.log")
    outcome_of(name, jobs.print_and_raise, log=log)

    assert "the last words" in log.read_text()
    assert "after the last words" in log.read_text()


@with_processes
def test_every_job_has_one_thread_and_a_session_of_its_own(name):
    assert outcome_of(name, jobs.thread_settings).value == ("1", True)


@with_processes
def test_a_dead_server_fails_its_runs_and_the_queue_goes_on(name):
    with EXECUTORS[name]() as executor:
        executor.submit(job(jobs.sleep_long, "baseline_seed1"))
        while not executor.pids():
            executor.next_event(0.2)
        (pid,) = executor.pids().values()
        os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
        (outcome,) = outcomes_of(executor, 1)
        executor.submit(job(jobs.answer, "baseline_seed2"))
        (next_outcome,) = outcomes_of(executor, 1)

    assert outcome.kind is OutcomeKind.EXCEPTION
    assert not is_alive_within(pid, seconds=5)
    assert next_outcome.value == 42


def test_a_module_that_cannot_be_preloaded_is_one_clear_error(capfd):
    with ProcessPoolExecutor(1, ["no_such_module"]) as executor:
        executor.submit(job(jobs.answer))
        with pytest.raises(TrainingError, match=r"ModuleNotFoundError.*no_such_module"):
            outcomes_of(executor, 1)

    assert "Traceback" not in capfd.readouterr().err


@with_processes
def test_two_hundred_small_jobs_leave_no_descriptor_behind(name):
    with EXECUTORS[name]() as executor:
        executor.submit(job(jobs.answer))
        outcomes_of(executor, 1)
        before = psutil.Process().num_fds()
        for seed in range(200):
            executor.submit(job(jobs.answer, f"baseline_seed{seed}"))
        kinds = {outcome.kind for outcome in outcomes_of(executor, 200)}

        assert kinds == {OutcomeKind.FINISHED}
        assert psutil.Process().num_fds() == before


def is_alive_within(pid, seconds):
    """Whether the process is still there after waiting for its end."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            return False
        time.sleep(0.05)
    return True
