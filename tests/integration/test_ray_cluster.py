"""Runs on Ray: lost nodes, dead workers, storage, devices, and what is left behind."""

import os
import signal
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import psutil
import pytest

from src.experiments.domain.errors import ExperimentsError, ProcessDiedError, StorageError
from src.experiments.domain.records import ResourceSample
from src.experiments.durability.journal import read_journal
from src.experiments.execution import (
    ExecutorSettings,
    Needs,
    OutcomeKind,
    Sampled,
    create_executor,
)
from src.experiments.experiment import Experiment
from src.experiments.runner import ExecutionMode, ExperimentRunner

from ..contract import jobs
from ..contract.clusters import cluster_of
from ..contract.test_executor import (
    ends,
    events_of,
    is_over,
    job,
    number_in,
    outcomes_of,
    started,
)
from ..waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
UNUSUAL = 7_354_911
"""A seed that nothing else on this machine trains with."""


@pytest.fixture(autouse=True)
def _as_the_cluster_is(monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def two_nodes():
    with cluster_of({"num_cpus": 1}, {"num_cpus": 1}) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def address():
    with cluster_of({"num_cpus": 2, "num_gpus": 2}) as cluster:
        yield cluster.address


def ray_executor(address=None, slots=2, **settings):
    return create_executor("ray", ExecutorSettings(slots=slots, address=address, **settings))


def helped(directory, seed):
    return job(partial(jobs.sleep_beside_a_helper, directory / str(seed)), f"baseline_seed{seed}")


def keeper_of(pid):
    return psutil.Process(pid).parent().ppid()


def worker_of(name):
    """The Ray worker that carries a run out; its title is the run's name."""
    titles = {process.pid: process.info["cmdline"] for process in psutil.process_iter(["cmdline"])}
    (pid,) = (pid for pid, title in titles.items() if title and title[0] == f"ray::{name}")
    return pid


def ask_until_refused(executor):
    wait_until(lambda: executor.next_event(0.2) and False, "it is refused")


# ---- what is lost


def test_a_lost_node_costs_its_own_runs_only_and_leaves_nothing(two_nodes, tmp_path):
    with ray_executor(two_nodes.address) as executor:
        for seed in (1, 2):
            executor.submit(helped(tmp_path, seed))
        starts = {start.job.name: start for start in started(executor, 2)}
        helpers = {f"baseline_seed{seed}": number_in(tmp_path / str(seed)) for seed in (1, 2)}
        two_nodes.remove_node(two_nodes.list_all_nodes()[1], allow_graceful=False)
        (lost,) = outcomes_of(executor, 1)
        (left,) = set(starts) - {lost.job.name}

        assert lost.kind is OutcomeKind.LOST
        assert isinstance(lost.as_exception(), ProcessDiedError)
        assert ends(starts[lost.job.name].pid)
        assert ends(helpers[lost.job.name])
        assert psutil.pid_exists(starts[left].pid)
        assert psutil.pid_exists(helpers[left])
        executor.submit(job(jobs.answer, "variant_seed1"), first=True)
        executor.cancel()
        kinds = {outcome.kind for outcome in outcomes_of(executor, 2)}

    assert kinds == {OutcomeKind.CANCELLED}


@pytest.mark.parametrize("victim", ["worker", "keeper"])
def test_a_dead_ray_worker_or_keeper_loses_its_run_and_the_queue_goes_on(address, tmp_path, victim):
    with ray_executor(address, slots=1) as executor:
        executor.submit(helped(tmp_path, UNUSUAL))
        executor.submit(job(jobs.answer, "baseline_seed2"))
        (start,) = started(executor)
        helper = number_in(tmp_path / str(UNUSUAL))
        pid = worker_of(f"baseline_seed{UNUSUAL}") if victim == "worker" else keeper_of(start.pid)
        os.kill(pid, signal.SIGKILL)
        lost, following = outcomes_of(executor, 2)

    assert lost.kind is OutcomeKind.LOST
    assert ends(start.pid)
    assert ends(helper)
    assert following.value == 42


def test_a_cluster_that_goes_away_loses_its_runs_and_is_named(tmp_path):
    with cluster_of({"num_cpus": 1}) as cluster, ray_executor(cluster.address) as executor:
        executor.submit(helped(tmp_path, 1))
        (start,) = started(executor)
        cluster.shutdown()
        (lost,) = outcomes_of(executor, 1)
        is_gone = ends(start.pid)
        executor.submit(job(jobs.answer))
        (next_lost,) = outcomes_of(executor, 1)
        executor.submit(job(jobs.answer))
        with pytest.raises(ExperimentsError, match="no Ray cluster answers"):
            ask_until_refused(executor)

    assert lost.kind is next_lost.kind is OutcomeKind.LOST
    assert is_gone


# ---- what cannot be


def test_an_address_where_nobody_answers_is_refused():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(ExperimentsError, match=f"{address}: no Ray cluster answers"):
            ray_executor(address).__enter__()


def test_a_directory_that_a_node_does_not_see_is_refused(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = Path("/proc/self/cwd")  # another place for each process
    with pytest.raises(StorageError, match=f"not seen by {os.uname().nodename}"):
        ray_executor(address, shared_directory=here).__enter__()

    assert not list(tmp_path.iterdir())


def test_a_directory_that_all_nodes_see_is_left_as_it_was(address, tmp_path):
    with ray_executor(address, shared_directory=tmp_path / "not" / "yet") as executor:
        executor.submit(job(jobs.answer))
        (outcome,) = outcomes_of(executor, 1)

    assert outcome.value == 42
    assert not list(tmp_path.iterdir())


def test_a_node_that_cannot_prepare_training_says_so(address):
    with ray_executor(address, preload=("no_such_module",)) as executor:
        for _ in range(2):
            executor.submit(job(jobs.answer))
        outcomes = outcomes_of(executor, 2)

    for outcome in outcomes:
        assert outcome.kind is OutcomeKind.EXCEPTION
        assert "No module named 'no_such_module'" in str(outcome.as_exception())
        assert os.uname().nodename in str(outcome.as_exception())


# ---- where runs are put


def test_ray_chooses_the_devices_that_a_job_needs(address):
    target = partial(jobs.variable, "CUDA_VISIBLE_DEVICES")
    elsewhere = partial(dict, CUDA_VISIBLE_DEVICES="7")
    with ray_executor(address) as executor:
        for name, gpus in (("baseline_seed1", 1), ("variant_seed1", 2), ("variant_seed2", 0)):
            needs = Needs(gpus=gpus)
            executor.submit(job(target, name, environment=elsewhere, needs=needs))
        seen = {outcome.job.name: outcome.value for outcome in outcomes_of(executor, 3)}

    assert seen["baseline_seed1"] in {"0", "1"}
    assert sorted(seen["variant_seed1"].split(",")) == ["0", "1"]
    assert seen["variant_seed2"] == "7"


def test_a_job_waits_for_room_and_may_be_stopped_meanwhile(address):
    large = job(jobs.answer, "variant_seed1", needs=Needs(cpus=2))
    small = job(jobs.sleep_long, "baseline_seed1")
    cause = ProcessDiedError("not wanted any more")
    with ray_executor(address) as executor:
        executor.submit(small)
        started(executor)
        executor.submit(large)
        assert executor.next_event(1.0) is None
        executor.stop(large, OutcomeKind.LIMIT, cause)
        (outcome,) = outcomes_of(executor, 1)

        assert (outcome.job, outcome.kind) == (large, OutcomeKind.LIMIT)
        assert outcome.as_exception() is cause


class Watch:
    """A meter that can be told from any other."""

    def __init__(self, pid):
        self.pid = pid

    def sample(self):
        return ResourceSample(time=0.0, cpu_percent=0.0, memory_mb=float(self.pid))


def test_a_run_on_another_machine_is_measured_there(address, monkeypatch):
    monkeypatch.setattr(
        "src.experiments.execution.ray_cluster.link.this_machine", lambda: "another machine"
    )
    with ray_executor(address) as executor:
        executor.submit(job(jobs.sleep_long, meter=Watch))
        (start,) = started(executor)
        samples = events_of(executor, Sampled, 2)

    assert start.host == os.uname().nodename
    assert [sample.sample.memory_mb for sample in samples] == [start.pid] * 2


# ---- a cluster of our own


SCRIPT = """
import sys, time
from functools import partial
from pathlib import Path
from src.experiments.execution import ExecutorSettings, create_executor
from tests.contract import jobs
from tests.contract.test_executor import job, number_in, started

if __name__ == "__main__":
    address, directory = sys.argv[1] or None, Path(sys.argv[2])
    with create_executor("ray", ExecutorSettings(address=address)) as executor:
        executor.submit(job(partial(jobs.sleep_beside_a_helper, directory / "helper")))
        (start,) = started(executor)
        number_in(directory / "helper")
        assert "ray" not in sys.modules
        print(start.pid, flush=True)
        time.sleep(600)
"""


def processes_with(mark):
    """Every process whose environment holds the mark: what the orchestrator started."""
    found = []
    for process in psutil.process_iter():
        try:
            is_dead = process.status() == psutil.STATUS_ZOMBIE
            if not is_dead and process.environ().get("STARTED_BY") == mark:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("is_own", [True, False])
def test_nothing_outlives_a_killed_orchestrator(is_own, tmp_path, request):
    address = "" if is_own else request.getfixturevalue("address")
    environment = {**os.environ, "STARTED_BY": str(tmp_path)}
    if is_own:
        del environment["RAY_AUTH_MODE"]
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, address, str(tmp_path)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as orchestrator:
        pid = int(orchestrator.stdout.readline())
        helper = number_in(tmp_path / "helper")
        orchestrator.kill()
        said = orchestrator.communicate()
    wait_until(lambda: not processes_with(str(tmp_path)), "what it started is gone")

    wait_until(lambda: is_over(pid), "the job's process is over")
    wait_until(lambda: is_over(helper), "what the job started is over")
    assert said == ("", "")


def test_a_cluster_of_our_own_is_silent_and_leaves_nothing(monkeypatch, capfd, tmp_path):
    monkeypatch.delenv("RAY_AUTH_MODE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("STARTED_BY", str(tmp_path))
    with ray_executor(slots=3) as executor:
        executor.submit(job(jobs.answer))
        executor.submit(job(jobs.answer, needs=Needs(cpus=10_000)))
        by_kind = {outcome.kind: outcome for outcome in outcomes_of(executor, 2)}

    wait_until(lambda: not processes_with(str(tmp_path)), "what it started is gone")

    assert by_kind[OutcomeKind.FINISHED].value == 42
    assert "10000 CPUs" in str(by_kind[OutcomeKind.EXCEPTION].as_exception())
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


# ---- a whole experiment


def question(directory, **settings):
    baseline = {
        "algorithm": "PPO",
        "environment": "CartPole-v1",
        "hyperparameters": {"n_steps": 64, "batch_size": 64, "n_epochs": 4},
        "training_steps": 8192,
        "seed": 1,
    }
    variant = {"extends": "baseline", "hyperparameters": {"learning_rate": 1e-3}}
    evaluation = {"frequency": 2048, "episodes": 2, "final_episodes": 4}
    return Experiment(
        baseline,
        variant,
        "a larger step helps",
        output_dir=directory,
        seeds=2,
        evaluation=evaluation,
        checkpoint={"frequency": 256},
        **settings,
    )


def parameters_of(experiment):
    return {run: result.parameters_sha256 for run, result in experiment.results.items()}


def test_an_experiment_survives_a_lost_node_with_the_parameters_of_sequential_mode(
    two_nodes, tmp_path
):
    experiment = question(tmp_path / "ray")
    runner = ExperimentRunner(
        experiment, ExecutionMode.PARALLEL, 2, executor="ray", ray_address=two_nodes.address
    )

    def lose_a_node():
        def two_have_saved():
            saved = experiment.paths.checkpoints.glob("*/checkpoint_*.pkl")
            return len({path.parent for path in saved}) >= 2

        wait_until(two_have_saved, "both nodes' runs have saved")
        two_nodes.remove_node(two_nodes.list_all_nodes()[1], allow_graceful=False)

    accident = threading.Thread(target=lose_a_node)
    accident.start()
    succeeded = runner.run()
    accident.join()
    alone = question(tmp_path / "alone")

    assert succeeded
    assert ExperimentRunner(alone).run()
    assert parameters_of(experiment) == parameters_of(alone)
    assert None not in parameters_of(experiment).values()
    attempts = {
        run: [
            event["outcome"]
            for event in read_journal(experiment.paths.run(run).events)
            if event["kind"] == "attempt_ended"
        ]
        for run in experiment.runs()
    }
    assert sorted(len(outcomes) for outcomes in attempts.values()) == [1, 1, 1, 2]
    assert all(outcomes[-1] == "completed" for outcomes in attempts.values())
    resumed = [result.resumed_from_steps for result in experiment.results.values()]
    assert sorted(len(steps) for steps in resumed) == [0, 0, 0, 1]
