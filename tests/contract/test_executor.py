"""What every executor promises."""

import gc
import os
import signal
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from src.experiments.domain.errors import (
    HangError,
    MissingExtraError,
    ResourceLimitError,
    TrainingError,
    UsageError,
)
from src.experiments.domain.records import RunKey
from src.experiments.execution import (
    ExecutorSettings,
    Job,
    JobStarted,
    Outcome,
    OutcomeKind,
    create_executor,
    process_pool,
)
from src.experiments.execution.process_pool import GRACE_SECONDS
from src.experiments.execution.ray_cluster import executor as ray_executor

from ..waiting import HANG_SECONDS, wait_until
from . import jobs
from .clusters import cluster_of

KINDS = {
    "in_process": ("in_process", 1),
    "one_slot": ("process", 1),
    "two_slots": ("process", 2),
    "ray": ("ray", 2),
}
IN_PROCESS = pytest.param("in_process")
POOLS = [pytest.param("one_slot"), pytest.param("two_slots")]
RAY = pytest.param("ray", marks=[pytest.mark.integration, pytest.mark.slow])
everywhere = pytest.mark.parametrize("create", [IN_PROCESS, *POOLS, RAY], indirect=True)
with_processes = pytest.mark.parametrize("create", [*POOLS, RAY], indirect=True)
with_one_slot = pytest.mark.parametrize("create", [POOLS[0], RAY], indirect=True)
pools = pytest.mark.parametrize("create", POOLS, indirect=True)


@pytest.fixture(scope="module")
def ray_address():
    with cluster_of({"num_cpus": 4}) as cluster:
        yield cluster.address


@pytest.fixture
def create(request):
    """Makes an executor of the kind that the test is about, with settings of its own."""
    executor, slots = KINDS[request.param]
    settings = {"slots": slots}
    if executor == "ray":
        settings["address"] = request.getfixturevalue("ray_address")
        request.getfixturevalue("monkeypatch").setenv("RAY_AUTH_MODE", "disabled")
    return lambda **own: create_executor(executor, ExecutorSettings(**{**settings, **own}))


def job(target, name="baseline_seed1", **fields):
    return Job(name, (RunKey.from_name(name),), target, **fields)


def events_of(executor, kind, count):
    """The next events of that kind; others are passed over."""
    found, deadline = [], time.monotonic() + HANG_SECONDS
    while len(found) < count and time.monotonic() < deadline:
        event = executor.next_event(0.2)
        if isinstance(event, kind):
            found.append(event)
    assert len(found) == count
    return found


def outcomes_of(executor, count):
    return events_of(executor, Outcome, count)


def started(executor, count=1):
    return events_of(executor, JobStarted, count)


def outcome_of(create, target, **fields):
    with create() as executor:
        executor.submit(job(target, **fields))
        return outcomes_of(executor, 1)[0]


def ends(pid):
    """Whether the process comes to its end."""
    try:
        wait_until(lambda: is_over(pid), f"process {pid} ends")
    except TimeoutError:
        return False
    return True


def is_over(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def number_in(file):
    wait_until(lambda: file.exists() and file.read_text(), f"{file.name} is written")
    return int(file.read_text())


# ---- how a job ends


@everywhere
def test_a_value_comes_back(create):
    outcome = outcome_of(create, jobs.answer)

    assert (outcome.kind, outcome.value) == (OutcomeKind.FINISHED, 42)


@everywhere
def test_returning_none_is_finishing(create):
    outcome = outcome_of(create, jobs.nothing)

    assert (outcome.kind, outcome.value) == (OutcomeKind.FINISHED, None)


@everywhere
def test_an_exception_keeps_its_built_in_type_text_and_traceback(create):
    outcome = outcome_of(create, jobs.raise_key_error)

    assert outcome.kind is OutcomeKind.EXCEPTION
    assert isinstance(outcome.as_exception(), KeyError)
    assert "reward" in str(outcome.as_exception())
    assert "raise_key_error" in outcome.error.traceback


@everywhere
def test_a_memory_error_is_out_of_memory(create):
    outcome = outcome_of(create, jobs.raise_memory_error)
    error = outcome.as_exception()

    assert outcome.kind is OutcomeKind.OUT_OF_MEMORY
    assert isinstance(error, MemoryError)
    assert str(error) == "no room for the buffer"


@with_processes
@pytest.mark.parametrize(
    ("target", "number"), [(jobs.kill_itself, signal.SIGKILL), (jobs.crash, signal.SIGSEGV)]
)
def test_a_killed_process_is_named_by_its_signal(create, target, number, tmp_path):
    outcome = outcome_of(create, target, log=tmp_path / "training.log")

    assert (outcome.kind, outcome.signal_number) == (OutcomeKind.SIGNAL, number)
    assert number.name in str(outcome.as_exception())


@with_processes
def test_a_process_that_just_leaves_is_named_by_its_exit_code(create):
    outcome = outcome_of(create, jobs.exit_at_once)

    assert (outcome.kind, outcome.exit_code) == (OutcomeKind.EXIT_CODE, 7)


@everywhere
def test_leaving_by_sys_exit_is_an_exit_code_also_when_it_is_zero(create):
    outcome = outcome_of(create, jobs.leave_quietly)

    assert (outcome.kind, outcome.exit_code) == (OutcomeKind.EXIT_CODE, 0)


@with_processes
def test_a_result_that_cannot_cross_is_an_exception(create):
    outcome = outcome_of(create, jobs.return_a_lambda)

    assert outcome.kind is OutcomeKind.EXCEPTION
    assert "pickle" in str(outcome.as_exception())


@with_processes
def test_a_target_that_cannot_cross_is_an_exception_and_the_queue_goes_on(create):
    with create() as executor:
        executor.submit(job(lambda: None, "baseline_seed1"))
        executor.submit(job(jobs.answer, "baseline_seed2"))
        by_name = {outcome.job.name: outcome for outcome in outcomes_of(executor, 2)}

    assert by_name["baseline_seed1"].kind is OutcomeKind.EXCEPTION
    assert "pickle" in str(by_name["baseline_seed1"].as_exception())
    assert by_name["baseline_seed2"].value == 42


@with_processes
def test_a_killed_worker_costs_only_its_own_run(create):
    with create() as executor:
        executor.submit(job(jobs.kill_itself, "baseline_seed1"))
        for seed in range(2, 6):
            executor.submit(job(jobs.answer, f"baseline_seed{seed}"))
        kinds = {outcome.job.name: outcome.kind for outcome in outcomes_of(executor, 5)}

    assert kinds.pop("baseline_seed1") is OutcomeKind.SIGNAL
    assert set(kinds.values()) == {OutcomeKind.FINISHED}


@everywhere
def test_secrets_and_endless_texts_do_not_cross(create, monkeypatch):
    monkeypatch.setenv("CANARY_API_KEY", "s3cr3t-canary")
    environment = partial(dict, CANARY_API_KEY="s3cr3t-canary")
    record = outcome_of(create, jobs.tell_a_secret, environment=environment).error

    assert record.type_name == "RuntimeError"
    assert "s3cr3t-canary" not in record.message + record.traceback
    assert len(record.message) < 3000


# ---- where and how it runs


@everywhere
def test_a_start_is_told_before_the_outcome_with_the_process(create):
    with create() as executor:
        executor.submit(job(jobs.where))
        (start,) = started(executor)
        (outcome,) = outcomes_of(executor, 1)

    assert (start.pid, start.host) == (outcome.value[1], None)


@with_processes
def test_every_job_has_one_thread_and_a_session_of_its_own(create):
    assert outcome_of(create, jobs.thread_settings).value == ("1", True)


@with_processes
def test_a_job_works_in_the_orchestrators_directory(create):
    assert outcome_of(create, jobs.where).value[0] == str(Path.cwd())


@with_one_slot
def test_variables_are_asked_for_when_a_job_leaves_the_queue_and_reach_it_alone(create):
    asked = []

    def environment(text):
        asked.append(text)
        return {"PLACED_ON": text}

    with create(slots=1) as executor:
        for text in ("first", "second"):
            target = partial(jobs.variable, "PLACED_ON")
            executor.submit(job(target, environment=partial(environment, text)))
        executor.submit(job(partial(jobs.variable, "PLACED_ON")))
        assert asked == []
        started(executor)
        assert asked == ["first"]
        values = [outcome.value for outcome in outcomes_of(executor, 3)]

    assert values == ["first", "second", None]


@with_processes
def test_output_goes_to_the_log(create, tmp_path):
    log = Path(tmp_path, "attempt-1", "training.log")
    outcome_of(create, jobs.print_and_raise, log=log)

    assert "the last words" in log.read_text()
    assert "after the last words" in log.read_text()


@with_one_slot
def test_a_run_shares_no_process_with_an_earlier_one(create):
    with create(slots=1) as executor:
        for _ in range(3):
            executor.submit(job(jobs.where))
        values = [outcome.value for outcome in outcomes_of(executor, 3)]

    assert len({pid for _, pid, _ in values}) == 3
    assert len({server for _, _, server in values}) == 1  # and what it imported is imported once


@with_processes
def test_what_a_job_started_and_left_is_killed(create, tmp_path):
    pid_file = tmp_path / "pid"
    outcome_of(create, partial(jobs.leave_a_grandchild, pid_file))

    assert ends(int(pid_file.read_text()))


# ---- the queue


@with_one_slot
def test_a_retry_goes_before_what_waits(create):
    with create(slots=1) as executor:
        executor.submit(job(jobs.kill_itself, "baseline_seed1"))
        executor.submit(job(jobs.answer, "variant_seed1"))
        outcomes_of(executor, 1)
        executor.submit(job(jobs.answer, "baseline_seed1"), first=True)
        order = [outcome.job.name for outcome in outcomes_of(executor, 2)]

    assert order == ["baseline_seed1", "variant_seed1"]


@with_one_slot
def test_more_slots_start_more_jobs_and_fewer_leave_the_running_ones_alone(create):
    with create(slots=1) as executor:
        running = [job(jobs.sleep_long, f"baseline_seed{seed}") for seed in range(3)]
        for one in (*running, job(jobs.answer, "variant_seed1")):
            executor.submit(one)
        started(executor)
        assert executor.next_event(0.2) is None
        executor.resize(3)
        started(executor, 2)
        executor.resize(1)
        for one in running[:2]:
            executor.stop(one, OutcomeKind.LIMIT, ResourceLimitError("too many"))
        names = {outcome.job.name for outcome in outcomes_of(executor, 2)}
        assert executor.next_event(0.2) is None
        executor.stop(running[2], OutcomeKind.LIMIT, ResourceLimitError("too many"))
        last = outcomes_of(executor, 2)

    assert names == {"baseline_seed0", "baseline_seed1"}
    assert [outcome.job.name for outcome in last] == ["baseline_seed2", "variant_seed1"]
    assert last[1].value == 42


@pools
def test_less_than_one_slot_is_refused(create):
    with create() as executor, pytest.raises(ValueError, match="need at least 1"):
        executor.resize(0)


# ---- ending a job from outside


@with_one_slot
@pytest.mark.parametrize("target", [jobs.sleep_long, jobs.sleep_stopped, jobs.sleep_in_c])
def test_a_job_that_hangs_is_ended_as_such_and_the_queue_goes_on(create, target):
    cause = HangError("no sign of life for 60 s")
    with create(slots=1) as executor:
        hanging = job(target, "baseline_seed1")
        executor.submit(hanging)
        executor.submit(job(jobs.answer, "baseline_seed2"))
        (start,) = started(executor)
        executor.stop(hanging, OutcomeKind.HANG, cause)
        outcome, following = outcomes_of(executor, 2)

    assert (outcome.job, outcome.kind) == (hanging, OutcomeKind.HANG)
    assert outcome.as_exception() is cause
    assert ends(start.pid)
    assert following.value == 42


@pools
def test_stopping_a_job_does_not_wait_for_its_end(create, tmp_path, monkeypatch):
    monkeypatch.setattr(process_pool, "GRACE_SECONDS", 2 * HANG_SECONDS)
    with create() as executor:
        stubborn = job(partial(jobs.sleep_stubbornly, tmp_path / "pid"))
        executor.submit(stubborn)
        (start,) = started(executor)
        number_in(tmp_path / "pid")
        executor.stop(stubborn, OutcomeKind.LIMIT, ResourceLimitError("too many"))

        assert not is_over(start.pid)


@with_processes
def test_what_a_stopped_job_started_ends_with_it(create, tmp_path):
    pid_file = tmp_path / "pid"
    with create() as executor:
        hanging = job(partial(jobs.sleep_beside_a_helper, pid_file))
        executor.submit(hanging)
        started(executor)
        helper = number_in(pid_file)
        executor.stop(hanging, OutcomeKind.HANG, HangError("no sign of life"))
        outcomes_of(executor, 1)

        assert ends(helper)


@everywhere
def test_a_queued_job_that_is_stopped_never_begins(create):
    cause = ResourceLimitError("the disk is full")
    with create(slots=1) as executor:
        waiting = job(jobs.answer, "variant_seed1")
        executor.submit(job(jobs.answer, "baseline_seed1"))
        executor.submit(waiting)
        started(executor)
        executor.stop(waiting, OutcomeKind.LIMIT, cause)
        by_name = {outcome.job.name: outcome for outcome in outcomes_of(executor, 2)}
        assert executor.next_event(0.2) is None

    assert by_name["variant_seed1"].kind is OutcomeKind.LIMIT
    assert by_name["variant_seed1"].as_exception() is cause
    assert by_name["baseline_seed1"].value == 42


@with_processes
def test_a_job_that_is_stopped_before_its_process_exists_ends_all_the_same(create):
    with create() as executor:
        early = job(jobs.sleep_long)
        executor.submit(early)
        executor.next_event(0.0)
        executor.stop(early, OutcomeKind.LIMIT, ResourceLimitError("too late"))
        (outcome,) = outcomes_of(executor, 1)

    assert outcome.kind is OutcomeKind.LIMIT


@with_processes
def test_stopping_a_job_that_ended_changes_nothing(create):
    with create() as executor:
        ended = job(jobs.answer)
        executor.submit(ended)
        outcomes_of(executor, 1)
        executor.stop(ended, OutcomeKind.LIMIT, ResourceLimitError("too late"))

        assert executor.next_event(0.2) is None


# ---- ending them all


@with_processes
def test_cancelling_leaves_no_child_and_reports_every_job(create, tmp_path):
    with create() as executor:
        files = [tmp_path / str(number) for number in range(4)]
        for seed, file in enumerate(files):
            executor.submit(job(partial(jobs.sleep_beside_a_helper, file), f"baseline_seed{seed}"))
        start = started(executor)[0]
        helper = number_in(files[0])
        executor.cancel()
        outcomes = outcomes_of(executor, 4)

        assert {outcome.kind for outcome in outcomes} == {OutcomeKind.CANCELLED}
        assert ends(start.pid)
        assert ends(helper)


@with_processes
def test_cancelling_does_not_wait_for_the_grace_to_pass(create, monkeypatch):
    monkeypatch.setattr(process_pool, "GRACE_SECONDS", 2 * HANG_SECONDS)
    monkeypatch.setattr(ray_executor, "CANCEL_SECONDS", 2 * HANG_SECONDS)
    with create() as executor:
        executor.submit(job(jobs.answer))
        outcomes_of(executor, 1)
        for _ in range(8):
            executor.submit(job(jobs.sleep_long))
            started(executor)
            begun = time.monotonic()
            executor.cancel()
            outcomes_of(executor, 1)

            assert time.monotonic() - begun < HANG_SECONDS


@with_processes
def test_what_comes_after_a_cancellation_is_carried_out(create):
    with create() as executor:
        executor.submit(job(jobs.answer))
        executor.cancel()  # nothing has begun, and the imports have hardly
        cancelled = outcomes_of(executor, 1)
        executor.submit(job(jobs.answer))
        (outcome,) = outcomes_of(executor, 1)

    assert [each.kind for each in cancelled] == [OutcomeKind.CANCELLED]
    assert outcome.value == 42


@pytest.mark.slow
@with_processes
def test_a_job_that_does_not_want_to_end_is_killed_when_the_grace_has_passed(create, tmp_path):
    with create() as executor:
        executor.submit(job(partial(jobs.sleep_stubbornly, tmp_path / "pid")))
        (start,) = started(executor)
        number_in(tmp_path / "pid")
        begun = time.monotonic()
        executor.cancel()

        assert time.monotonic() - begun >= GRACE_SECONDS
        assert ends(start.pid)


@with_processes
def test_what_was_finished_when_cancelled_counts(create):
    with create() as executor:
        executor.submit(job(jobs.answer))
        (start,) = started(executor)
        assert ends(start.pid)
        executor.cancel()
        (outcome,) = outcomes_of(executor, 1)

    assert (outcome.kind, outcome.value) == (OutcomeKind.FINISHED, 42)


@with_processes
def test_leaving_ends_what_a_job_still_runs(create, tmp_path):
    pid_file = tmp_path / "pid"
    with create() as executor:
        executor.submit(job(partial(jobs.sleep_beside_a_helper, pid_file)))
        (start,) = started(executor)
        helper = number_in(pid_file)

    assert ends(start.pid)
    assert ends(helper)


# ---- what carries them


@with_processes
def test_a_dead_server_fails_its_runs_and_the_queue_goes_on(create):
    with create() as executor:
        executor.submit(job(jobs.sleep_long, "baseline_seed1"))
        (start,) = started(executor)
        os.kill(psutil.Process(start.pid).ppid(), signal.SIGKILL)
        (outcome,) = outcomes_of(executor, 1)
        executor.submit(job(jobs.answer, "baseline_seed2"))
        (next_outcome,) = outcomes_of(executor, 1)

    assert outcome.kind is OutcomeKind.LOST
    assert ends(start.pid)
    assert next_outcome.value == 42


@pools
def test_a_module_that_cannot_be_preloaded_is_one_clear_error(create, capfd):
    with create(preload=("no_such_module",)) as executor:
        executor.submit(job(jobs.answer))
        with pytest.raises(TrainingError, match=r"ModuleNotFoundError.*no_such_module"):
            outcomes_of(executor, 1)

    assert "Traceback" not in capfd.readouterr().err


def check_many(create, count):
    """Carry out `count` small jobs; none fails, and no descriptor stays open."""
    with create() as executor:
        executor.submit(job(jobs.answer))
        outcomes_of(executor, 1)
        gc.collect()  # what earlier tests left to be closed some time
        before = psutil.Process().num_fds()
        for seed in range(count):
            executor.submit(job(jobs.answer, f"baseline_seed{seed}"))
        kinds = [outcome.kind for outcome in outcomes_of(executor, count)]

        assert set(kinds) == {OutcomeKind.FINISHED}
        assert psutil.Process().num_fds() == before


@pytest.mark.slow
@pools
def test_two_hundred_small_jobs_leave_no_descriptor_behind(create):
    check_many(create, 200)


@pytest.mark.slow
@with_processes
def test_a_thousand_small_jobs_leave_no_descriptor_behind(create):
    check_many(create, 1000)


# ---- by name


def test_an_unknown_executor_is_refused():
    with pytest.raises(UsageError, match="executor 'spark' is unknown; use one of: process"):
        create_executor("spark", ExecutorSettings())


def test_without_ray_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)

    with pytest.raises(MissingExtraError, match=r"not installed; pip install -e '\.\[ray\]'"):
        create_executor("ray", ExecutorSettings())


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "http://head:8265"])
def test_an_address_of_another_form_is_refused(address):
    pytest.importorskip("ray")
    settings = ExecutorSettings(address=address)

    with pytest.raises(UsageError, match="give the head's as host:port"):
        create_executor("ray", settings).__enter__()
