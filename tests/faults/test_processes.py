"""Processes that die or are told to stop: what a person sees of it."""

import signal

import psutil
import pytest

from tests.waiting import HANG_SECONDS

from .figures import Bench
from .pair import Pair, document, small_document
from .promises import Undisturbed
from .rows.workers import death_is_dealt_with

pytestmark = pytest.mark.integration


@pytest.mark.slow
def test_a_killed_orchestrator_leaves_no_process_and_continues_to_the_same_bits(
    tmp_path, tmp_path_factory
):
    content = small_document(steps=1500)
    undisturbed = Undisturbed.by_training(Pair(tmp_path_factory.mktemp("undisturbed"), content))
    pair = Pair(tmp_path, content)
    command = pair.start()
    pair.worker("variant_seed0")
    family = command.family()
    command.kill()
    _, alive = psutil.wait_procs(family, timeout=HANG_SECONDS)
    done = pair.finish()

    assert alive == []
    assert "baseline_seed0: complete already" in done.stdout
    undisturbed.check_same(pair, done)


@pytest.mark.slow
def test_under_abort_a_killed_worker_ends_the_experiment_with_its_name(tmp_path, tmp_path_factory):
    with Bench(tmp_path_factory.mktemp("bench")) as bench:
        death_is_dealt_with(bench, "SIGKILL", "abort", tmp_path)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, -2), pytest.param(signal.SIGHUP, -1, marks=pytest.mark.slow)],
)
def test_a_signal_stops_and_tells_how_to_continue(tmp_path, number, code):
    pair = Pair(tmp_path, document(baseline={"training_steps": 1_000_000}))
    command = pair.start()
    pair.worker()
    command.process.send_signal(number)
    done = command.done()

    assert done.code == code
    assert "--experiment-id pair" in done.stderr
