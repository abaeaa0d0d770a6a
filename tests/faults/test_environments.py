"""Environments that misbehave cost their own run, and are named."""

import os
import signal

import pytest

from .pair import Pair, document
from .rows.limits import greedy_pair

pytestmark = pytest.mark.integration


def broken_pair(folder, kind):
    arguments = {"kind": kind, "at": 100}
    baseline = {"environment": "BrokenCartPole-v0", "environment_kwargs": arguments}
    variant = {"environment_kwargs": {"kind": "none"}}
    return Pair(folder, document(baseline={**baseline, "training_steps": 128}, variant=variant))


@pytest.mark.slow
def test_an_exception_is_named_by_its_type_with_the_log_that_tells_more(tmp_path):
    pair = broken_pair(tmp_path, "raise")
    done = pair.finish("--recovery", "skip")

    assert done.code == 4
    assert "RuntimeError: joint 3 exploded" in done.stderr
    assert "training.log" in str(pair.events())
    assert "\x1b" not in done.stderr
    assert [run["status"] for run in pair.results()["runs"]] == ["skipped", "completed"]
    assert pair.results()["comparison"]["failed_per_arm"] == {"baseline": 1, "variant": 0}


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["process", "in_process"])
def test_an_environment_that_exits_with_zero_is_a_failed_run(tmp_path, executor):
    done = broken_pair(tmp_path, "exit").finish("--executor", executor)

    assert done.code == 1
    assert "exit code 0 before training ended" in done.stderr


@pytest.mark.slow
def test_an_environment_that_takes_on_what_cannot_be_told_is_resumed_approximately(tmp_path):
    pair = greedy_pair(tmp_path, "helper", baseline={"training_steps": 3000})
    command = pair.start("--recovery", "retry")
    worker = pair.worker()
    pair.wait_for_checkpoints(2)
    os.kill(worker, signal.SIGKILL)
    done = command.done()

    assert done.code == 0, done
    assert pair.run_results()["baseline"]["attempts"] == 2
    assert [run["resume"] for run in pair.results()["runs"]] == ["approximate", "exact"]
