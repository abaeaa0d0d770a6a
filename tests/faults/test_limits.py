"""Runs that take too much or never answer, beside what the rows of the table cover."""

import psutil
import pytest

from tests.waiting import HANG_SECONDS, wait_until

from .rows.limits import greedy_pair, hang_is_skipped

pytestmark = pytest.mark.integration


@pytest.mark.slow
def test_a_run_that_spins_is_named_ended_and_skipped(tmp_path):
    hang_is_skipped("spin", tmp_path)


@pytest.mark.slow
def test_a_limit_on_the_disk_ends_the_runs_by_name(tmp_path):
    pair = greedy_pair(
        tmp_path,
        "disk",
        arguments={"folder": str(tmp_path / "pair" / "runs" / "baseline_seed0")},
        baseline={"training_steps": 6400},
        resource_limits={"disk_gb": 0.05},
    )
    done = pair.finish("--recovery", "abort")

    assert done.code == 1
    assert [how for how, _ in pair.ends()] == ["limit"]
    assert "disk_gb" in done.stderr


def test_what_an_environment_started_in_a_session_of_its_own_dies_with_the_orchestrator(tmp_path):
    pair = greedy_pair(tmp_path, "helper", baseline={"training_steps": 200_000})
    command = pair.start()
    pair.worker()
    wait_until(lambda: list(tmp_path.glob("helper-*")), "it has started another process")
    # first, for a run that begins meanwhile starts another one
    helpers = {int(path.name.partition("-")[2]) for path in tmp_path.glob("helper-*")}
    family = command.family()
    command.kill()
    _, alive = psutil.wait_procs(family, timeout=HANG_SECONDS)

    assert helpers
    assert helpers <= {process.pid for process in family}
    assert alive == []
